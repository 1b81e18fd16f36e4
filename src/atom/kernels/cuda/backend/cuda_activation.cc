#include "atom/kernels/cuda/backend/cuda_activation.h"

#include <algorithm>
#include <typeinfo>
#include <utility>

#include "atom/core/check.h"

namespace atom::kernels::cuda {

int64_t GroupScaleRows(const quant::ActivationFormat& format, int64_t k) {
  if (format.scales == quant::ScaleFormat::kTwoLevel) return 0;
  const int64_t k4 = k - format.outlier_columns;
  return format.group == 0 ? std::max<int64_t>(k4 / kBlockColumns, 1) : k4 / format.group;
}

PackedActivationLayout CodeLayout(const quant::ActivationFormat& format, int64_t k, int64_t rows) {
  return {rows, k - format.outlier_columns, format.outlier_columns};
}

ActivationSizes SizesOf(const quant::ActivationFormat& format, int64_t k, int64_t capacity) {
  const int64_t padded = (capacity + kAtomTokens - 1) / kAtomTokens * kAtomTokens;
  const int64_t tokens = padded * static_cast<int64_t>(sizeof(TokenScales));
  if (format.dense()) {
    return {.values = PackedDenseActivationLayout{padded, 0, k}.bytes(), .tokens = tokens};
  }
  return {.values = CodeLayout(format, k, padded).bytes(),
          .tokens = tokens,
          .group_scales = GroupScaleRows(format, k) * padded * static_cast<int64_t>(sizeof(float))};
}

std::string WhyNotQuantized(const quant::ActivationFormat& format, int64_t k) {
  if (format.bits == 16) return "";
  const int64_t k4 = k - format.outlier_columns;
  if (format.number != quant::NumberFormat::kInt || !format.symmetric || format.bits > 8 ||
      (format.outlier_columns > 0 && format.outlier_format != quant::OutlierFormat::kInt8)) {
    return fmt::format(
        "activations of {} bits as {} with outliers as {}: the CUDA backend has "
        "kernels for symmetric integers up to 8 bits with INT8 outliers",
        format.bits, quant::Name(format.number), quant::Name(format.outlier_format));
  }
  if (format.simulated && format.reference_parity) {
    return "the published program's quirks: the CUDA backend does not have them; use --backend cpu";
  }
  if (format.simulated) return "";
  const bool two_level = format.scales == quant::ScaleFormat::kTwoLevel;
  const int64_t multiple = two_level ? kStepColumns : kBlockColumns;
  if (format.group % multiple != 0 || (format.group > 0 && k4 % format.group != 0)) {
    return fmt::format(
        "activations of {} + {} columns in groups of {} with {} scales: the CUDA backend has "
        "kernels for groups of multiples of {}",
        k4, format.outlier_columns, format.group, quant::Name(format.scales), multiple);
  }
  return "";
}

const CudaActivation& CudaActivation::Of(const PackedActivation& activation) {
  ATOM_CHECK(typeid(activation) == typeid(CudaActivation),
             "the activation was made by another backend");
  return static_cast<const CudaActivation&>(activation);
}

CudaActivation& CudaActivation::Of(PackedActivation& activation) {
  return const_cast<CudaActivation&>(Of(std::as_const(activation)));
}

}  // namespace atom::kernels::cuda
