#include "atom/kernels/cpu/cpu_weight.h"

#include <algorithm>
#include <cstring>

#include "atom/core/check.h"
#include "atom/kernels/cpu/code_packing.h"
#include "atom/kernels/cpu/panel_packing.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kHalfPanel = kPanelOutputs / 2;

PackedLayout MakeLayout(const quant::QuantizedView& weight) {
  PackedLayout l;
  l.n = weight.n;
  l.k4 = weight.k4;
  l.k8 = weight.k8;
  l.group = weight.group;
  l.groups = weight.groups();
  // A group that starts in the middle of a line may end in the middle of another.
  l.group_dwords = l.group % 4 == 0 ? l.group / 4 : (l.group + 5) / 4;
  l.outlier_dwords = (l.k8 + 3) / 4;
  l.two_level = weight.scale_format() == quant::ScaleFormat::kTwoLevel;
  l.group_bytes = (l.group_dwords + (l.two_level ? 0 : 1)) * kLineBytes;
  l.low_bytes = l.groups * l.group_bytes;
  if (l.two_level) {
    l.low_bytes += ((l.groups + kBlockGroups - 1) / kBlockGroups + kRowScaleLines) * kLineBytes;
  }
  l.panel_bytes = l.low_bytes;
  if (l.k8 > 0) l.panel_bytes += (2 * l.outlier_dwords + 1) * kLineBytes;
  l.panels = (l.n + kPanelOutputs - 1) / kPanelOutputs;
  return l;
}

/// One row of a panel, the inverse of PackIntegerPanel.
void UnpackRow(const PackedLayout& l, const std::byte* panel, int64_t row,
               quant::QuantizedMatrix& weight) {
  const int64_t i = row % kPanelOutputs;
  const int64_t lane = 4 * (i % kHalfPanel);
  const int64_t half = i / kHalfPanel;
  const auto nibble_at = [&](const std::byte* line, int64_t j) {
    const int byte = std::to_integer<int>(line[lane + j]);
    return half == 0 ? byte & 15 : byte >> 4;
  };
  const auto scale_at = [&]<class T>(const std::byte* line, T& scale) {
    std::memcpy(&scale, line + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  };
  for (int64_t k = 0; k < l.k4; ++k) {
    const int64_t g = k / l.group;
    const int64_t d = k / 4 - g * l.group / 4;
    weight.SetCode4(row, k, nibble_at(panel + GroupOffset(l, g) + d * kLineBytes, k % 4) - 8);
  }
  for (int64_t g = 0; g < l.groups; ++g) {
    if (l.two_level) {
      weight.SetMultiplier4(row, g, nibble_at(panel + MultiplierOffset(l, g), g % kBlockGroups));
    } else {
      scale_at(panel + (g + 1) * l.group_bytes - kLineBytes,
               weight.scales4[static_cast<size_t>(g * l.n + row)]);
    }
  }
  if (l.two_level) {
    scale_at(panel + RowScaleOffset(l), weight.row_scales4[static_cast<size_t>(row)]);
  }
  if (l.k8 == 0) return;
  const std::byte* outliers = panel + l.low_bytes;
  for (int64_t k = 0; k < l.k8; ++k) {
    const std::byte code = outliers[(2 * (k / 4) + half) * kLineBytes + lane + k % 4];
    weight.codes8[static_cast<size_t>(row * l.k8 + k)] =
        static_cast<int8_t>(std::to_integer<int>(code) - 128);
  }
  scale_at(outliers + 2 * l.outlier_dwords * kLineBytes, weight.scales8[static_cast<size_t>(row)]);
}

void SetBias(std::span<const float> bias, CpuWeight& weight) {
  ATOM_CHECK(bias.empty() || static_cast<int64_t>(bias.size()) == weight.n(),
             "{} bias values, {} outputs", bias.size(), weight.n());
  weight.bias.assign(bias.begin(), bias.end());
}

}  // namespace

const CpuWeight& CpuWeight::Of(const PackedWeight& weight) {
  const auto* own = dynamic_cast<const CpuWeight*>(&weight);
  ATOM_CHECK(own != nullptr, "the weight was packed by another backend");
  return *own;
}

std::unique_ptr<CpuWeight> PackIntegerWeight(const quant::QuantizedView& weight,
                                             std::span<const float> bias, ThreadPool& pool) {
  ATOM_CHECK(weight.k() > 0, "a weight without inputs");
  auto packed = std::make_unique<CpuWeight>(weight.n, weight.k());
  SetBias(bias, *packed);
  packed->layout = MakeLayout(weight);
  const PackedLayout& l = *packed->layout;
  packed->data = AlignedMemory::Unset(static_cast<size_t>(l.panels * l.panel_bytes));
  pool.ParallelFor(l.panels, [&](int64_t panel, int) {
    PackIntegerPanel(weight, l, panel, packed->data.data() + panel * l.panel_bytes);
  });
  return packed;
}

std::unique_ptr<CpuWeight> PackDenseWeight(const TensorView& weight, std::span<const float> bias,
                                           ThreadPool& pool) {
  ATOM_CHECK(weight.shape.size() == 2 && IsFloatWeight(weight.dtype), "a dense weight: {} of {}",
             ShapeString(weight.shape), DTypeName(weight.dtype));
  auto packed = std::make_unique<CpuWeight>(weight.dim(0), weight.dim(1));
  SetBias(bias, *packed);
  packed->dtype = weight.dtype;
  const int64_t panel_bytes = kPanelOutputs * packed->k() * DTypeSize(weight.dtype);
  packed->data = AlignedMemory::Unset(static_cast<size_t>(packed->panels() * panel_bytes));
  pool.ParallelFor(packed->panels(), [&](int64_t panel, int) {
    PackDensePanel(weight, panel, packed->data.data() + panel * panel_bytes);
  });
  return packed;
}

std::unique_ptr<CpuWeight> PackCodeWeight(const quant::CodeMatrix& weight,
                                          std::span<const float> bias, ThreadPool& pool) {
  quant::CheckCodeMatrix(weight);
  auto packed = std::make_unique<CpuWeight>(weight.n, weight.k);
  SetBias(bias, *packed);
  packed->codes = MakeCodeLayout(weight);
  packed->groups_of = weight.groups_of;
  const CodeLayout& l = *packed->codes;
  packed->data = AlignedMemory::Unset(static_cast<size_t>(l.panels * l.panel_bytes));
  pool.ParallelFor(l.panels, [&](int64_t panel, int) {
    PackCodePanel(weight, l, panel, packed->data.data() + panel * l.panel_bytes);
  });
  return packed;
}

quant::QuantizedMatrix UnpackIntegerWeight(const CpuWeight& packed) {
  ATOM_CHECK(packed.layout.has_value(), "Unpack of a dense weight");
  const PackedLayout& l = *packed.layout;
  quant::QuantizedMatrix weight(
      l.n, l.k4, l.k8, l.group,
      l.two_level ? quant::ScaleFormat::kTwoLevel : quant::ScaleFormat::kFp16);
  for (int64_t row = 0; row < l.n; ++row) {
    UnpackRow(l, packed.data.data() + row / kPanelOutputs * l.panel_bytes, row, weight);
  }
  return weight;
}

}  // namespace atom::kernels::cpu
