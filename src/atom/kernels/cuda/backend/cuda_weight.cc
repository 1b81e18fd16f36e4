#include "atom/kernels/cuda/backend/cuda_weight.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels::cuda {
namespace {

std::vector<RowScales> Rows(int64_t n, std::span<const Half> outlier_scales,
                            std::span<const float> bias) {
  ATOM_CHECK(bias.empty() || std::ssize(bias) == n, "{} biases of {} outputs", bias.size(), n);
  const auto padded = static_cast<size_t>((n + kBlockRows - 1) / kBlockRows * kBlockRows);
  std::vector<RowScales> rows(padded);
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    rows[i].scale = 1.0f;
    rows[i].outlier_scale = outlier_scales.empty() ? 0.0f : ToFloat(outlier_scales[i]);
    rows[i].bias = bias.empty() ? 0.0f : bias[i];
  }
  return rows;
}

}  // namespace

Result<HostWeight> PackForDevice(const quant::QuantizedView& weight, std::span<const float> bias) {
  HostWeight packed;
  packed.layout = {weight.n, weight.k4, weight.k8, weight.k4 == 0 ? 0 : weight.group,
                   GroupScale::kHalf};
  if (std::string why = WhyNotPacked(packed.layout); !why.empty()) return MakeError("{}", why);
  if (weight.k4 > 0 && weight.group % kBlockColumns != 0) {
    return MakeError(
        "weights with groups of {} columns: the CUDA backend has kernels for multiples of {}",
        weight.group, kBlockColumns);
  }
  packed.codes.resize(static_cast<size_t>(packed.layout.bytes()));
  PackWeight(packed.layout,
             {.codes4 = weight.codes4,
              .multipliers = {},
              .scales4 = weight.scales4,
              .codes8 = weight.codes8},
             packed.codes);
  packed.rows = Rows(weight.n, weight.scales8, bias);
  return packed;
}

HostWeight PackForDevice(const TensorView& weight, std::span<const float> bias) {
  HostWeight packed;
  packed.dense = {weight.dim(0), weight.dim(1)};
  const std::vector<float> values = ToFloats(weight);
  std::vector<uint16_t> rounded(values.size());
  std::ranges::transform(values, rounded.begin(),
                         [](float value) { return ToBFloat16(value).bits; });
  packed.codes.resize(static_cast<size_t>(packed.dense.bytes()));
  PackDense(packed.dense, rounded,
            std::span(reinterpret_cast<uint16_t*>(packed.codes.data()), packed.codes.size() / 2));
  packed.rows = Rows(packed.dense.n, {}, bias);
  return packed;
}

const CudaWeight& CudaWeight::Of(const PackedWeight& weight) {
  const auto* own = dynamic_cast<const CudaWeight*>(&weight);
  ATOM_CHECK(own != nullptr, "the weight was packed by another backend");
  return *own;
}

}  // namespace atom::kernels::cuda
