#include "atom/kernels/cpu/cpu_weight.h"

#include <algorithm>
#include <cstring>

#include "atom/core/check.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kHalfPanel = kPanelOutputs / 2;

PackedLayout MakeLayout(const quant::QuantizedMatrix& weight) {
  PackedLayout l;
  l.n = weight.n;
  l.k4 = weight.k4;
  l.k8 = weight.k8;
  l.group = weight.group;
  l.groups = weight.groups();
  // A group that starts in the middle of a line may end in the middle of another.
  l.group_dwords = l.group % 4 == 0 ? l.group / 4 : (l.group + 5) / 4;
  l.outlier_dwords = (l.k8 + 3) / 4;
  l.group_bytes = (l.group_dwords + 1) * kLineBytes;
  l.panel_bytes = l.groups * l.group_bytes;
  if (l.k8 > 0) l.panel_bytes += (2 * l.outlier_dwords + 1) * kLineBytes;
  l.panels = (l.n + kPanelOutputs - 1) / kPanelOutputs;
  return l;
}

/// Four codes, offset by 8, in four bytes: those at [k, k + 4) of a row that lie in [begin, end).
uint32_t FourNibbles(const quant::QuantizedMatrix& weight, int64_t row, int64_t k, int64_t begin,
                     int64_t end) {
  constexpr uint32_t kZeros = 0x08080808u;
  if (row >= weight.n || k >= end) return kZeros;
  const uint8_t* bytes = weight.codes4.data() + row * (weight.k4 / 2) + k / 2;
  const uint32_t second = k + 2 < weight.k4 ? bytes[1] : 0;
  uint32_t spread = bytes[0] | second << 16;
  spread = (spread | spread << 4) & 0x0f0f0f0fu;
  uint32_t inside = 0xffffffffu;
  if (k < begin) inside &= 0xffff0000u;  // begin, end and G are even
  if (k + 4 > end) inside &= 0x0000ffffu;
  return ((spread ^ kZeros) & inside) | (kZeros & ~inside);
}

uint32_t FourBytes(const quant::QuantizedMatrix& weight, int64_t row, int64_t k) {
  uint8_t bytes[4] = {};
  if (row < weight.n) {
    const int64_t count = std::min<int64_t>(4, weight.k8 - k);
    std::memcpy(bytes, weight.codes8.data() + row * weight.k8 + k, static_cast<size_t>(count));
  }
  uint32_t four;
  std::memcpy(&four, bytes, sizeof(four));
  return four ^ 0x80808080u;
}

std::byte* PutScales(std::span<const Half> scales, int64_t first, int64_t n, std::byte* out) {
  const int64_t count = std::min(kPanelOutputs, n - first);
  std::memcpy(out, scales.data() + first, static_cast<size_t>(count) * sizeof(Half));
  return out + kLineBytes;
}

void PackPanel(const quant::QuantizedMatrix& weight, const PackedLayout& l, int64_t first,
               std::byte* out) {
  uint32_t line[kHalfPanel];
  for (int64_t g = 0; g < l.groups; ++g) {
    const int64_t begin = g * l.group;
    for (int64_t d = 0; d < l.group_dwords; ++d, out += kLineBytes) {
      const int64_t k = (begin / 4 + d) * 4;
      for (int64_t i = 0; i < kHalfPanel; ++i) {
        line[i] = FourNibbles(weight, first + i, k, begin, begin + l.group) |
                  FourNibbles(weight, first + kHalfPanel + i, k, begin, begin + l.group) << 4;
      }
      std::memcpy(out, line, kLineBytes);
    }
    out =
        PutScales(std::span(weight.scales4).subspan(static_cast<size_t>(g * l.n)), first, l.n, out);
  }
  if (l.k8 == 0) return;
  for (int64_t d = 0; d < l.outlier_dwords; ++d) {
    for (int64_t half = 0; half < kPanelOutputs; half += kHalfPanel, out += kLineBytes) {
      for (int64_t i = 0; i < kHalfPanel; ++i) line[i] = FourBytes(weight, first + half + i, 4 * d);
      std::memcpy(out, line, kLineBytes);
    }
  }
  PutScales(weight.scales8, first, l.n, out);
}

/// One row of a panel, the inverse of PackPanel.
void UnpackRow(const PackedLayout& l, const std::byte* panel, int64_t row,
               quant::QuantizedMatrix& weight) {
  const int64_t i = row % kPanelOutputs;
  const int64_t lane = 4 * (i % kHalfPanel);
  const int64_t half = i / kHalfPanel;
  for (int64_t k = 0; k < l.k4; ++k) {
    const int64_t g = k / l.group;
    const int64_t d = k / 4 - g * l.group / 4;
    const int byte = std::to_integer<int>(panel[g * l.group_bytes + d * kLineBytes + lane + k % 4]);
    weight.SetCode4(row, k, (half == 0 ? byte & 15 : byte >> 4) - 8);
  }
  const auto scale_at = [&](const std::byte* line) {
    Half scale;
    std::memcpy(&scale, line + i * static_cast<int64_t>(sizeof(Half)), sizeof(scale));
    return scale;
  };
  for (int64_t g = 0; g < l.groups; ++g) {
    weight.scales4[static_cast<size_t>(g * l.n + row)] =
        scale_at(panel + (g + 1) * l.group_bytes - kLineBytes);
  }
  if (l.k8 == 0) return;
  const std::byte* outliers = panel + l.groups * l.group_bytes;
  for (int64_t k = 0; k < l.k8; ++k) {
    const std::byte code = outliers[(2 * (k / 4) + half) * kLineBytes + lane + k % 4];
    weight.codes8[static_cast<size_t>(row * l.k8 + k)] =
        static_cast<int8_t>(std::to_integer<int>(code) - 128);
  }
  weight.scales8[static_cast<size_t>(row)] = scale_at(outliers + 2 * l.outlier_dwords * kLineBytes);
}

/// [N][K] to [panel][K][32]; outputs beyond N stay 0.
void PackDensePanel(const TensorView& weight, int64_t panel, std::byte* out) {
  constexpr int64_t kStrip = 64;  // inputs at a time, so that what is written stays in L1
  const int64_t n = weight.dim(0);
  const int64_t k = weight.dim(1);
  const auto size = static_cast<size_t>(DTypeSize(weight.dtype));
  const auto bytes = static_cast<int64_t>(size);
  const int64_t rows = std::min(kPanelOutputs, n - panel * kPanelOutputs);
  const std::byte* in = weight.data + panel * kPanelOutputs * k * bytes;
  const auto pack = [&]<size_t kSize>() {
    for (int64_t strip = 0; strip < k; strip += kStrip) {
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = strip; i < std::min(k, strip + kStrip); ++i) {
          std::memcpy(out + (i * kPanelOutputs + row) * bytes, in + (row * k + i) * bytes, kSize);
        }
      }
    }
  };
  if (size == 4) {
    pack.operator()<4>();
  } else {
    pack.operator()<2>();
  }
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

std::unique_ptr<CpuWeight> PackIntegerWeight(const quant::QuantizedMatrix& weight,
                                             std::span<const float> bias, ThreadPool& pool) {
  ATOM_CHECK(weight.k() > 0, "a weight without inputs");
  auto packed = std::make_unique<CpuWeight>(weight.n, weight.k());
  SetBias(bias, *packed);
  packed->layout = MakeLayout(weight);
  const PackedLayout& l = *packed->layout;
  packed->data = AlignedMemory(static_cast<size_t>(l.panels * l.panel_bytes));
  pool.ParallelFor(l.panels, [&](int64_t panel, int) {
    PackPanel(weight, l, panel * kPanelOutputs, packed->data.data() + panel * l.panel_bytes);
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
  packed->data = AlignedMemory(static_cast<size_t>(packed->panels() * panel_bytes));
  pool.ParallelFor(packed->panels(), [&](int64_t panel, int) {
    PackDensePanel(weight, panel, packed->data.data() + panel * panel_bytes);
  });
  return packed;
}

quant::QuantizedMatrix UnpackIntegerWeight(const CpuWeight& packed) {
  ATOM_CHECK(packed.layout.has_value(), "Unpack of a dense weight");
  const PackedLayout& l = *packed.layout;
  quant::QuantizedMatrix weight(l.n, l.k4, l.k8, l.group);
  for (int64_t row = 0; row < l.n; ++row) {
    UnpackRow(l, packed.data.data() + row / kPanelOutputs * l.panel_bytes, row, weight);
  }
  return weight;
}

}  // namespace atom::kernels::cpu
