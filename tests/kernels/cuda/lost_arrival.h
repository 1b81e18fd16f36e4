// A kernel that waits for an arrival that never comes.
#pragma once

#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

/// Launches it and waits for its end. The CUDA context is lost afterwards.
cudaError_t WaitForLostArrival();

}  // namespace atom::kernels::cuda
