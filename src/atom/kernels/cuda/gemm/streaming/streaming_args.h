// Arguments of the streaming GEMM kernels, passed by value: operands and sizes of a launch.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/gemm_desc.h"

namespace atom::kernels::cuda {

/// Where one of the weights side by side lies in the launch.
struct StreamedWeight {
  int32_t first_row_block = 0;  ///< row blocks of the weights before it
  int32_t n = 0;                ///< outputs that exist
  int32_t column = 0;           ///< column of y that its output 0 is
};

struct StreamingArgs {
  GemmOperands operands;
  StreamedWeight weights[kMaxSegments];
  int32_t weight_count = 0;
  int32_t row_blocks = 0;  ///< of all weights
  int32_t blocks4 = 0;     ///< 4-bit K blocks of 128 columns, or dense ones of 64
  int32_t x_blocks4 = 0;   ///< K blocks of x that meet them
  int32_t steps8 = 0;      ///< 8-bit steps of 32 columns behind them
  int32_t m = 0;
  GemmOutput output = GemmOutput::kHalf;
  bool add = false;
  int32_t experts = 0;
};

}  // namespace atom::kernels::cuda
