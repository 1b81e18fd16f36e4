// Every call of the CUDA runtime and every launch goes through these: a failure becomes one
// sentence that says what was tried and what a user can do (no device, driver too old, out of
// memory, ...).
//
//   if (Status status = Check(cudaEventRecord(event, stream), "record an event"); !status.ok())
//     return status;
//   Kernel<<<grid, block, bytes, stream>>>(...);
//   return CheckLaunch("decode attention");
#pragma once

#include <cuda_runtime_api.h>
#include <string_view>

#include "atom/core/result.h"

namespace atom::kernels::cuda {

/// What `code` means, as a sentence. REQUIRES: code != cudaSuccess.
Error CudaError(cudaError_t code, std::string_view action);

/// ok, or CudaError(code, action). `action` completes "could not ...".
Status Check(cudaError_t code, std::string_view action);

/// To be called right after a launch of `kernel`. Finds what is wrong with the launch itself (grid,
/// shared memory, no code for this card), and any earlier failure on the device that is known by
/// now.
Status CheckLaunch(std::string_view kernel);

/// True if the device is lost to this process: after such an error every further call fails too,
/// and only a new process helps.
bool IsFatal(cudaError_t code);

}  // namespace atom::kernels::cuda
