// The exact window's kernel; attention.h has the checked launch.
#pragma once

#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/attention/attention_call.h"

namespace atom::kernels::cuda {

cudaError_t EnqueueExactAttention(const ExactAttention& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
