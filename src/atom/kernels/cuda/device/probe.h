// Whether this program was compiled for the card at hand.
#pragma once

#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

/// cudaErrorNoKernelImageForDevice if no code for the current device is in this program.
cudaError_t FindKernelImage();

}  // namespace atom::kernels::cuda
