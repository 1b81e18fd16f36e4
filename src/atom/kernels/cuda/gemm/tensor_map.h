// Tensor maps: what the copy engine knows of a matrix in global memory.
#pragma once

#include <cstdint>
#include <cuda.h>

#include "atom/core/result.h"
#include "atom/kernels/cuda/gemm/gemm_desc.h"

namespace atom::kernels::cuda {

/// Row-major rows × cols of a 16-bit type in global memory, rows `stride` elements apart.
struct MatrixView {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;
  GemmOutput type = GemmOutput::kHalf;
};

/// True if the copy engine can write the matrix: its start, the length of its rows and their
/// distance are multiples of 16 bytes. (Of a row that ends inside 16 bytes it writes these 16
/// whole.)
bool HasTensorMap(const MatrixView& matrix);

/// Boxes of box_rows × 64 columns, 128-byte swizzled in shared memory. REQUIRES:
/// HasTensorMap(matrix).
Status MakeTensorMap(const MatrixView& matrix, int box_rows, CUtensorMap& map);

}  // namespace atom::kernels::cuda
