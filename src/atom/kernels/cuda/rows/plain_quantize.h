// Norm or activation function, gather, and quantization of rows, in one pass, for every format that
// the GEMMs take: the rule of docs/numerics.md, sections 2 and 4, and the fallback where no fused
// kernel is faster. A row's values pass through shared memory, so K is at most 56,000.
#pragma once

#include <cuda_runtime_api.h>

#include "atom/core/result.h"
#include "atom/kernels/cuda/rows/plain_quantize_call.h"

namespace atom::kernels::cuda {

Status LaunchPlainQuantize(const PlainQuantizeCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
