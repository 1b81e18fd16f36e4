// A token's one scale, where kernels of groups look for scales: once a group of the weight.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/gemm/packed_activation.h"

namespace atom::kernels::cuda {

/// to[g][padded] = tokens[row].scale, rows < `rows`, g < `groups`.
struct SpreadTokenScalesCall {
  const TokenScales* tokens = nullptr;
  int64_t rows = 0;
  int64_t padded = 0;  ///< rows between groups
  int groups = 0;
  float* to = nullptr;
};
cudaError_t EnqueueSpreadTokenScales(const SpreadTokenScalesCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
