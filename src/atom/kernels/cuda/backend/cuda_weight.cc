#include "atom/kernels/cuda/backend/cuda_weight.h"

#include <algorithm>
#include <typeinfo>

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

/// Packs `count` rows from `first` on, a block of rows that is a weight of its own to the packer.
void PackRows(const quant::QuantizedView& weight, PackedWeightLayout layout, int64_t first,
              std::span<uint8_t> to) {
  const int64_t count = std::min(kBlockRows, weight.n - first);
  layout.n = count;
  std::vector<uint8_t> multipliers;  // one a byte, [groups][count]
  std::vector<Half> scales;          // the same
  for (int64_t group = 0; layout.k4 > 0 && group < weight.groups(); ++group) {
    for (int64_t row = first; row < first + count; ++row) {
      if (layout.scale == GroupScale::kInteger) {
        multipliers.push_back(static_cast<uint8_t>(weight.Multiplier4(row, group)));
      } else {
        scales.push_back(weight.scales4[static_cast<size_t>(group * weight.n + row)]);
      }
    }
  }
  const auto rows_of = [&](const auto& codes, int64_t row_bytes) {
    return codes.subspan(static_cast<size_t>(first * row_bytes),
                         static_cast<size_t>(count * row_bytes));
  };
  PackWeight(layout,
             {.codes4 = rows_of(weight.codes4, layout.k4 / 2),
              .multipliers = multipliers,
              .scales4 = scales,
              .codes8 = rows_of(weight.codes8, layout.k8)},
             to);
}

}  // namespace

Result<HostWeight> PackForDevice(const quant::QuantizedView& weight, std::span<const float> bias,
                                 ThreadPool& pool) {
  HostWeight packed;
  const bool two_level = weight.scale_format() == quant::ScaleFormat::kTwoLevel;
  packed.layout = {weight.n, weight.k4, weight.k8, weight.k4 == 0 ? 0 : weight.group,
                   two_level ? GroupScale::kInteger : GroupScale::kHalf};
  if (std::string why = WhyNotPacked(packed.layout); !why.empty()) return MakeError("{}", why);
  packed.codes.resize(static_cast<size_t>(packed.layout.bytes()));
  const auto block_bytes = static_cast<size_t>(packed.layout.row_block_bytes());
  pool.ParallelFor(packed.layout.row_blocks(), [&](int64_t block, int) {
    PackRows(
        weight, packed.layout, block * kBlockRows,
        std::span(packed.codes).subspan(static_cast<size_t>(block) * block_bytes, block_bytes));
  });
  packed.rows = Rows(weight.n, weight.row_scales4, weight.scales8, bias);
  return packed;
}

HostWeight PackForDevice(const TensorView& weight, std::span<const float> bias, ThreadPool& pool) {
  HostWeight packed;
  packed.dense = {weight.dim(0), weight.dim(1)};
  packed.codes.resize(static_cast<size_t>(packed.dense.bytes()));
  const int64_t k = packed.dense.k;
  const auto block_bytes = static_cast<size_t>(packed.dense.row_block_bytes());
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
  ATOM_CHECK(typeid(weight) == typeid(CudaWeight), "the weight was packed by another backend");
  return static_cast<const CudaWeight&>(weight);
}

}  // namespace atom::kernels::cuda
