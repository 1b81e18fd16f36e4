// One block of GPTQ's column loop (quant/gptq.h) on all rows of a weight; plain data, for host and
// device code.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

inline constexpr int kLoopColumns = 128;  ///< of a block at most, and of a row of errors
inline constexpr int kMostLoopRows = 2;   ///< adjacent rows that share a scale's fit

struct ColumnLoopCall {
  float* w = nullptr;  ///< [n][k]; columns [begin, begin + width) become points of their grids
  int64_t n = 0;
  int64_t k = 0;  ///< a multiple of 4
  int64_t begin = 0;
  int width = 0;  ///< a multiple of `group`
  int group = 0;  ///< columns that share a scale: a multiple of 4
  int channel_group = 1;
  int bits = 4;
  float clip = 1.0f;
  bool search = false;  ///< each group's ratio instead, the one of `ratios` with the least error
  /// The factor's rows and columns [begin, begin + width), rows `k` apart; null: errors of columns
  /// go nowhere.
  const float* u = nullptr;
  const float* diagonal = nullptr;    ///< [k] of the factor
  const float* row_scales = nullptr;  ///< [n] S of two-level scales, or null: fp16 scales
  float* errors = nullptr;            ///< [n][128], of u's unit; with `u` only
  float* scales = nullptr;            ///< [k / group][n]
  float ratios[32] = {};
  int ratio_count = 0;
};

cudaError_t EnqueueColumnLoop(const ColumnLoopCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
