// Arguments of the streaming GEMM kernels: pointers to device memory and sizes, passed by value.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/packed_activation.h"

namespace atom::kernels::cuda {

/// What the elements of y are.
enum class OutputType : int32_t { kFloat32, kFloat16, kBFloat16 };

inline constexpr int kMaxSideBySide = 3;

/// One of the weights that lie side by side: q, k and v, or gate and up.
struct StreamedWeight {
  const uint8_t* packed = nullptr;            ///< as packed_weight.h or packed_dense.h lays it out
  const float* row_scales = nullptr;          ///< [padded rows], integer group scales only
  const float* outlier_row_scales = nullptr;  ///< [padded rows], null without 8-bit columns
  const float* bias = nullptr;                ///< [padded rows] or null
  int32_t n = 0;                              ///< rows that exist
  int32_t first_row_block = 0;                ///< row blocks of the weights before it
  int32_t column = 0;                         ///< column of y that its row 0 is
};

struct StreamingArgs {
  StreamedWeight weights[kMaxSideBySide];
  int32_t weight_count = 0;
  int32_t row_blocks = 0;  ///< of all weights
  int32_t blocks4 = 0;     ///< 4-bit K blocks of 128 columns, or dense ones of 64
  int32_t steps8 = 0;      ///< 8-bit steps of 32 columns behind them

  const uint8_t* x = nullptr;           ///< packed_activation.h or packed_activation16.h
  const TokenScales* tokens = nullptr;  ///< [M8]; integer recipes
  const float* group_scales = nullptr;  ///< [blocks4][M8]; fp16 group scales
  int32_t m = 0;

  void* y = nullptr;  ///< [M][stride]
  int64_t y_stride = 0;
  OutputType y_type = OutputType::kFloat32;
  bool add = false;  ///< y += x·Wᵀ instead of y = x·Wᵀ
};

}  // namespace atom::kernels::cuda
