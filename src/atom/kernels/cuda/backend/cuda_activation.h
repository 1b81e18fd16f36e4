// Room on the device for the quantized input of linears: the columns that meet 4-bit weights,
// padded to K blocks of 128, then the outliers. Where the former are a multiple of 128, that is one
// layout of K columns whatever the split. 16-bit values without outliers have no low-bit columns.
#pragma once

#include "atom/kernels/backend.h"
#include "atom/kernels/cuda/gemm/packed_activation.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"

namespace atom::kernels::cuda {

/// Bytes of the parts, for a capacity of rows.
struct ActivationSizes {
  int64_t values = 0;
  int64_t tokens = 0;
  int64_t group_scales = 0;

  int64_t sum() const { return values + tokens + group_scales; }
};
/// Rows of group scales: kernels find a token's only scale (group 0) once for each group that its
/// weights may have. None where the token's scale has multiples.
int64_t GroupScaleRows(const quant::ActivationFormat& format, int64_t k);
/// Values of so many rows.
PackedActivationLayout CodeLayout(const quant::ActivationFormat& format, int64_t k, int64_t rows);
ActivationSizes SizesOf(const quant::ActivationFormat& format, int64_t k, int64_t capacity);

/// Empty, or a sentence that says why no kernel reads such an activation.
std::string WhyNotQuantized(const quant::ActivationFormat& format, int64_t k);

struct CudaActivation final : PackedActivation {
  CudaActivation(const quant::ActivationFormat& activation_format, int64_t columns, int64_t rows)
      : PackedActivation(activation_format, columns, rows) {}
  /// REQUIRES: made by the CUDA backend.
  static const CudaActivation& Of(const PackedActivation& activation);
  static CudaActivation& Of(PackedActivation& activation);

  int64_t k4() const { return k() - format().outlier_columns; }
  PackedActivationLayout code_layout(int64_t count) const {
    return CodeLayout(format(), k(), count);
  }
  PackedDenseActivationLayout dense_layout(int64_t count) const { return {count, 0, k()}; }
  int64_t padded_rows() const { return (rows() + kAtomTokens - 1) / kAtomTokens * kAtomTokens; }

  DeviceBuffer values;        ///< by rows(): PackedActivationLayout or PackedDenseActivationLayout
  DeviceBuffer tokens;        ///< TokenScales[padded_rows]
  DeviceBuffer group_scales;  ///< [groups][padded_rows] fp32
};

}  // namespace atom::kernels::cuda
