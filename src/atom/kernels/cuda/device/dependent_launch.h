// Programmatic dependent launch: a kernel whose CTAs may start while the kernel before it in the
// stream ends. Launch, barriers and what reads nobody's results then cost no time of their own.
//
//   kernel a     | LaunchDependents … work …          | done
//   kernel b                     | starts, own tables | WaitForPredecessors, work …
//
// A kernel launched so calls ptx::WaitForPredecessors in every thread, before the first access to
// anything that another kernel writes or reads.
#pragma once

#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

/// `bytes`: of dynamic shared memory.
template <class Call>
cudaError_t LaunchDependent(void (*kernel)(Call), dim3 grid, int threads, size_t bytes,
                            cudaStream_t stream, const Call& call) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = {static_cast<unsigned>(threads), 1, 1};
  config.dynamicSmemBytes = bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, call);
}

}  // namespace atom::kernels::cuda
