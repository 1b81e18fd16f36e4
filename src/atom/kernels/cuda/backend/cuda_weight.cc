#include "atom/kernels/cuda/backend/cuda_weight.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels::cuda {
namespace {

/// `scales`: of rows whose groups have multiples of them; empty: groups have their own.
std::vector<RowScales> Rows(int64_t n, std::span<const float> scales,
                            std::span<const Half> outlier_scales, std::span<const float> bias) {
  ATOM_CHECK(bias.empty() || std::ssize(bias) == n, "{} biases of {} outputs", bias.size(), n);
  const auto padded = static_cast<size_t>((n + kBlockRows - 1) / kBlockRows * kBlockRows);
  std::vector<RowScales> rows(padded);
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    rows[i].scale = scales.empty() ? 1.0f : scales[i];
    rows[i].outlier_scale = outlier_scales.empty() ? 0.0f : ToFloat(outlier_scales[i]);
    rows[i].bias = bias.empty() ? 0.0f : bias[i];
  }
  return rows;
}

/// One a byte, [groups][n].
std::vector<uint8_t> Multipliers(const quant::QuantizedView& weight) {
  std::vector<uint8_t> multipliers;
  for (int64_t group = 0; group < weight.groups(); ++group) {
    for (int64_t row = 0; row < weight.n; ++row) {
      multipliers.push_back(static_cast<uint8_t>(weight.Multiplier4(row, group)));
    }
  }
  return multipliers;
}

}  // namespace

Result<HostWeight> PackForDevice(const quant::QuantizedView& weight, std::span<const float> bias) {
  HostWeight packed;
  const bool two_level = weight.scale_format() == quant::ScaleFormat::kTwoLevel;
  packed.layout = {weight.n, weight.k4, weight.k8, weight.k4 == 0 ? 0 : weight.group,
                   two_level ? GroupScale::kInteger : GroupScale::kHalf};
  if (std::string why = WhyNotPacked(packed.layout); !why.empty()) return MakeError("{}", why);
  const std::vector<uint8_t> multipliers = two_level ? Multipliers(weight) : std::vector<uint8_t>();
  packed.codes.resize(static_cast<size_t>(packed.layout.bytes()));
  PackWeight(packed.layout,
             {.codes4 = weight.codes4,
              .multipliers = multipliers,
              .scales4 = weight.scales4,
              .codes8 = weight.codes8},
             packed.codes);
  packed.rows = Rows(weight.n, weight.row_scales4, weight.scales8, bias);
  return packed;
}

HostWeight PackForDevice(const TensorView& weight, std::span<const float> bias, ThreadPool& pool) {
  HostWeight packed;
  packed.dense = {weight.dim(0), weight.dim(1)};
  packed.codes.resize(static_cast<size_t>(packed.dense.bytes()));
  const int64_t k = packed.dense.k;
  const auto block_bytes = static_cast<size_t>(packed.dense.blocks() * kDenseBlockBytes);
  pool.ParallelFor(packed.dense.row_blocks(), [&](int64_t block, int) {
    const int64_t first = block * kBlockRows;
    const int64_t rows = std::min(kBlockRows, packed.dense.n - first);
    std::vector<float> values(static_cast<size_t>(rows * k));
    ReadFloats(weight, first * k, values);
    std::vector<uint16_t> rounded(values.size());
    std::ranges::transform(values, rounded.begin(),
                           [](float value) { return ToBFloat16(value).bits; });
    uint8_t* to = packed.codes.data() + static_cast<size_t>(block) * block_bytes;
    PackDense({rows, k}, rounded, std::span(reinterpret_cast<uint16_t*>(to), block_bytes / 2));
  });
  packed.rows = Rows(packed.dense.n, {}, {}, bias);
  return packed;
}

const CudaWeight& CudaWeight::Of(const PackedWeight& weight) {
  const auto* own = dynamic_cast<const CudaWeight*>(&weight);
  ATOM_CHECK(own != nullptr, "the weight was packed by another backend");
  return *own;
}

}  // namespace atom::kernels::cuda
