#include "atom/kernels/cuda/backend/cuda_activation.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels::cuda {

int64_t GroupScaleRows(const quant::ActivationFormat& format, int64_t k) {
  const int64_t k4 = k - format.outlier_columns;
  return format.group == 0 ? std::max<int64_t>(k4 / kBlockColumns, 1) : k4 / format.group;
}

ActivationSizes SizesOf(const quant::ActivationFormat& format, int64_t k, int64_t capacity) {
  const int64_t padded = (capacity + kAtomTokens - 1) / kAtomTokens * kAtomTokens;
  if (format.dense()) {
    return {.values = PackedDenseActivationLayout{padded, 0, k}.bytes(),
            .tokens = padded * static_cast<int64_t>(sizeof(TokenScales))};
  }
  const int64_t groups = GroupScaleRows(format, k);
  return {.values = PackedActivationLayout{padded, 0, k}.bytes(),
          .tokens = padded * static_cast<int64_t>(sizeof(TokenScales)),
          .group_scales = groups * padded * static_cast<int64_t>(sizeof(float))};
}

std::string WhyNotQuantized(const quant::ActivationFormat& format, int64_t k) {
  if (format.simulated) {
    return "the CUDA backend simulates no quantization; use --backend cpu for that";
  }
  if (format.bits == 16) return "";
  const int64_t k4 = k - format.outlier_columns;
  if (format.number != quant::NumberFormat::kInt || !format.symmetric || format.bits > 8 ||
      (format.outlier_columns > 0 && format.outlier_format != quant::OutlierFormat::kInt8)) {
    return fmt::format(
        "activations of {} bits as {} with outliers as {}: the CUDA backend has "
        "kernels for symmetric integers up to 8 bits with INT8 outliers",
        format.bits, quant::Name(format.number), quant::Name(format.outlier_format));
  }
  if (format.group % kBlockColumns != 0 || (format.group > 0 && k4 % format.group != 0) ||
      (format.outlier_columns > 0 && k4 % kBlockColumns != 0)) {
    return fmt::format(
        "activations of {} + {} columns in groups of {}: the CUDA backend has "
        "kernels for groups of multiples of {}",
        k4, format.outlier_columns, format.group, kBlockColumns);
  }
  return "";
}

const CudaActivation& CudaActivation::Of(const PackedActivation& activation) {
  const auto* own = dynamic_cast<const CudaActivation*>(&activation);
  ATOM_CHECK(own != nullptr, "the activation was made by another backend");
  return *own;
}

CudaActivation& CudaActivation::Of(PackedActivation& activation) {
  auto* own = dynamic_cast<CudaActivation*>(&activation);
  ATOM_CHECK(own != nullptr, "the activation was made by another backend");
  return *own;
}

}  // namespace atom::kernels::cuda
