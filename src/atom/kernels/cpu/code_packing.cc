#include "atom/kernels/cpu/code_packing.h"

#include <algorithm>
#include <cstring>

#include "atom/core/check.h"
#include "atom/core/half.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kHalfPanel = kPanelOutputs / 2;

CodeKind KindOf(const quant::CodeMatrix& weight) {
  if (!weight.offsets.empty()) return CodeKind::kOffsets;
  if (weight.value == DType::kF16) return CodeKind::kZerosHalf;
  if (weight.value == DType::kBF16) return CodeKind::kZerosBf16;
  const bool centered = weight.zeros.empty() && weight.scale == DType::kF16;
  return centered ? CodeKind::kCentered : CodeKind::kZeros;
}

int64_t CodeLines(int bits, int64_t k) { return (k + 3) / 4 * (bits == 4 ? 1 : 2); }

/// The codes of output i of the panel, into its bytes of all lines.
void PackRow(const quant::CodeMatrix& weight, int64_t row, int64_t i, std::byte* lines) {
  const uint8_t* codes = weight.codes.data() + row * weight.k;
  std::byte* lane = lines + 4 * (i % kHalfPanel);
  if (weight.bits == 8) {
    lane += i / kHalfPanel * kLineBytes;
    for (int64_t k = 0; k < weight.k; ++k) {
      lane[k / 4 * 2 * kLineBytes + k % 4] = static_cast<std::byte>(codes[k]);
    }
    return;
  }
  const int vector = i < kHalfPanel ? 0 : 1;
  for (int64_t k = 0; k < weight.k; ++k) {
    const int bit = NibbleBit(vector, k % 4);
    lane[k / 4 * kLineBytes + bit / 8] |= static_cast<std::byte>(codes[k] << bit % 8);
  }
}

/// Scale and shift of output i in each group, from `groups` on.
void PackParameters(const quant::CodeMatrix& weight, const CodeLayout& l, int64_t row, int64_t i,
                    std::byte* groups) {
  for (int64_t g = 0; g < weight.groups(); ++g, groups += l.group_bytes) {
    const auto at = static_cast<size_t>(row * weight.groups() + g);
    const float scale = weight.scales[at];
    const Half narrow = ToHalf(scale);
    if (l.wide_scales) {
      std::memcpy(groups + 4 * i, &scale, sizeof(scale));
    } else {
      std::memcpy(groups + 2 * i, &narrow, sizeof(narrow));
    }
    if (l.kind == CodeKind::kCentered) continue;
    const auto zero = static_cast<float>(weight.ZeroAt(row, g) - weight.middle());
    const Half shift = ToHalf(l.kind == CodeKind::kOffsets ? weight.offsets[at] : zero);
    std::memcpy(groups + l.scale_bytes + 2 * i, &shift, sizeof(shift));
  }
}

}  // namespace

CodeLayout MakeCodeLayout(const quant::CodeMatrix& weight) {
  constexpr int64_t kShiftBytes = kPanelOutputs * sizeof(Half);
  CodeLayout l;
  l.kind = KindOf(weight);
  l.bits = weight.bits;
  l.n = weight.n;
  l.k = weight.k;
  l.group = weight.group;
  l.wide_scales = weight.scale != DType::kF16;
  l.scale_bytes = kPanelOutputs * (l.wide_scales ? 4 : 2);
  l.group_bytes = l.scale_bytes + (l.kind == CodeKind::kCentered ? 0 : kShiftBytes);
  l.code_bytes = CodeLines(l.bits, l.k) * kLineBytes;
  l.panel_bytes = l.code_bytes + weight.groups() * l.group_bytes;
  l.panels = (l.n + kPanelOutputs - 1) / kPanelOutputs;
  return l;
}

void PackCodePanel(const quant::CodeMatrix& weight, const CodeLayout& l, int64_t panel,
                   std::byte* out) {
  std::memset(out, 0, static_cast<size_t>(l.panel_bytes));
  const int64_t first = panel * kPanelOutputs;
  for (int64_t i = 0; i < std::min(kPanelOutputs, l.n - first); ++i) {
    PackRow(weight, first + i, i, out);
    PackParameters(weight, l, first + i, i, out + l.code_bytes);
  }
}

}  // namespace atom::kernels::cpu
