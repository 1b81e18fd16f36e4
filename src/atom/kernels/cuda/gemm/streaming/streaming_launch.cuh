// Launches a streaming kernel: its shared memory, cluster and programmatic dependent launch.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_kernel.cuh"

namespace atom::kernels::cuda {

template <StreamKernel kKernel>
cudaError_t LaunchStream(const StreamingArgs& args, const StreamLayout& layout,
                         const StreamGrid& grid, const StreamLaunch& launch) {
  constexpr StreamShape kShape = Info(kKernel).shape;
  // Asked for once a process: the largest that any launch may want.
  static const cudaError_t prepared = cudaFuncSetAttribute(
      StreamingGemm<kKernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, kMaxStreamShared);
  if (prepared != cudaSuccess) return prepared;
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = launch.overlap_previous ? 1 : 0;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  constexpr unsigned kCluster = kShape.cluster;
  attributes[1].val.clusterDim = {kCluster, 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = {static_cast<unsigned>(grid.row_tiles * grid.token_tiles) * kCluster, 1, 1};
  config.blockDim = {static_cast<unsigned>(kShape.threads()), 1, 1};
  config.dynamicSmemBytes = static_cast<size_t>(layout.total);
  config.stream = launch.stream;
  config.attrs = attributes;
  config.numAttrs = kCluster > 1 ? 2 : 1;
  return cudaLaunchKernelEx(&config, StreamingGemm<kKernel>, args, layout, grid);
}

}  // namespace atom::kernels::cuda
