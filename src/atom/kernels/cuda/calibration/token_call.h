// What calibration does with the tokens of a window where they lie; plain data, for host and
// device code.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/gemm/packed_dense.h"

namespace atom::kernels::cuda {

/// to[rows][columns] = the values of a packed activation of 16 bits.
struct UnpackDenseCall {
  const void* values = nullptr;
  PackedDenseActivationLayout layout = {};  ///< of bf16
  float* to = nullptr;
};
cudaError_t EnqueueUnpackDense(const UnpackDenseCall& call, cudaStream_t stream);

/// Of each channel of such an activation, rows ascending: sums[c] += Σ x², or, with `largest_mean`,
/// sums[c] = max(sums[c], mean |x|).
struct ChannelSumsCall {
  const void* values = nullptr;
  PackedDenseActivationLayout layout = {};
  bool largest_mean = false;
  double* sums = nullptr;  ///< [columns]
};
cudaError_t EnqueueChannelSums(const ChannelSumsCall& call, cudaStream_t stream);

struct TokenSizesCall {
  const float* x = nullptr;  ///< [rows][k]
  int64_t rows = 0;
  int64_t k = 0;
  int64_t outliers = 0;
  double* energies = nullptr;  ///< [rows] Σ x², a NaN counted as 0
  float* largest = nullptr;    ///< [rows][2] |x| of the columns before the outliers, and of these
};
cudaError_t EnqueueTokenSizes(const TokenSizesCall& call, cudaStream_t stream);

/// y = (y − x) · root of the row, where there is a y; then x = x · root.
struct WeighTokensCall {
  float* x = nullptr;            ///< [rows][k]
  float* y = nullptr;            ///< the same, or null
  const float* roots = nullptr;  ///< [rows]
  int64_t rows = 0;
  int64_t k = 0;
};
cudaError_t EnqueueWeighTokens(const WeighTokensCall& call, cudaStream_t stream);

/// Hidden states of one window kept in fp16: a row that fp16 cannot hold is divided by 2^exponent.
struct KeepRowsCall {
  float* rows = nullptr;  ///< [count][columns], `stride` apart
  int64_t stride = 0;
  int64_t count = 0;
  int64_t columns = 0;
  uint16_t* halves = nullptr;     ///< [count][columns]
  int8_t* exponents = nullptr;    ///< [count]
  int32_t* not_finite = nullptr;  ///< set to 1 where a kept value is infinite or NaN
};
cudaError_t EnqueueKeepRows(const KeepRowsCall& call, cudaStream_t stream);
cudaError_t EnqueueReadRows(const KeepRowsCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
