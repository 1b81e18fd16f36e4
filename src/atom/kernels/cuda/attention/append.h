// The append kernel's launch; attention.h has the checked one.
#pragma once

#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/attention/append_call.h"

namespace atom::kernels::cuda {

cudaError_t EnqueueAppendKv(const AppendKv& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
