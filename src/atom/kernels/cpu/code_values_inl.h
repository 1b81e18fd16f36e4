// Codes of others to the values that they stand for (code_layout.h): one panel, some inputs, as the
// dense product reads them. What makes a product of packed codes is that product on these values,
// in scratch that stays in the nearest caches; so its bits are those of dense weights.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

template <int kBits, CodeKind kKind>
struct ValueWriter {
  static constexpr int64_t kLines = kBits == 4 ? 1 : 2;  // for four inputs

  F32x16 scale[kPanelVectors];
  F32x16 shift[kPanelVectors];

  inline void SetGroup(const CodeLayout& l, const uint8_t* group) {
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) {
      scale[v] = l.wide_scales ? Load(reinterpret_cast<const float*>(group) + 16 * v)
                               : Widen(reinterpret_cast<const Half*>(group) + 16 * v);
      if constexpr (kKind != CodeKind::kCentered) {
        shift[v] = Widen(reinterpret_cast<const Half*>(group + l.scale_bytes) + 16 * v);
      }
    }
  }

  inline F32x16 Value(F32x16 centered, int v) const {
    if constexpr (kKind == CodeKind::kCentered) return Mul(scale[v], centered);
    if constexpr (kKind == CodeKind::kOffsets) {
      constexpr float kMiddle = kBits == 4 ? 8.0f : 128.0f;
      return Fma(scale[v], Add(centered, Set(kMiddle)), shift[v]);
    }
    const F32x16 value = Mul(scale[v], Sub(centered, shift[v]));
    if constexpr (kKind == CodeKind::kZerosHalf) return RoundTo<Half>(value);
    if constexpr (kKind == CodeKind::kZerosBf16) return RoundTo<BFloat16>(value);
    return value;
  }

  /// Input J of the four at `line`.
  template <int J>
  inline void Write(const uint8_t* line, float* out) const {
    if constexpr (kBits == 4) {
      const I32x16 codes = LoadBytes(line);
      Store(out, Value(NibbleValue<8 * J>(codes), 0));
      Store(out + 16, Value(NibbleValue<8 * J + 4>(codes), 1));
    } else {
      Store(out, Value(ByteValue<8 * J>(LoadBytes(line)), 0));
      Store(out + 16, Value(ByteValue<8 * J>(LoadBytes(line + kLineBytes)), 1));
    }
  }
  inline void WriteOne(const uint8_t* line, int64_t j, float* out) const {
    if (j == 0) Write<0>(line, out);
    if (j == 1) Write<1>(line, out);
    if (j == 2) Write<2>(line, out);
    if (j == 3) Write<3>(line, out);
  }
};

/// One past the last input of a stretch of one group that begins at k.
inline int64_t EndOfGroup(const CodeBlock& b, int64_t k) {
  int64_t end = k + 1;
  if (b.groups_of == nullptr) {
    end = (k / b.layout->group + 1) * b.layout->group;
    return end < b.end ? end : b.end;
  }
  while (end < b.end && b.groups_of[end] == b.groups_of[k]) ++end;
  return end;
}

template <int kBits, CodeKind kKind>
void WriteValues(const CodeBlock& b) {
  const CodeLayout& l = *b.layout;
  ValueWriter<kBits, kKind> values;
  constexpr int64_t kLineStep = ValueWriter<kBits, kKind>::kLines * kLineBytes;
  float* out = b.out;
  for (int64_t k = b.first; k < b.end;) {
    const int64_t end = EndOfGroup(b, k);
    const int64_t g = b.groups_of == nullptr ? k / l.group : b.groups_of[k];
    values.SetGroup(l, b.panel + l.code_bytes + g * l.group_bytes);
    for (; k < end && k % 4 != 0; ++k, out += kPanelOutputs) {
      values.WriteOne(b.panel + k / 4 * kLineStep, k % 4, out);
    }
    const uint8_t* line = b.panel + k / 4 * kLineStep;
    for (; k + 4 <= end; k += 4, out += 4 * kPanelOutputs, line += kLineStep) {
      values.template Write<0>(line, out);
      values.template Write<1>(line, out + kPanelOutputs);
      values.template Write<2>(line, out + 2 * kPanelOutputs);
      values.template Write<3>(line, out + 3 * kPanelOutputs);
    }
    for (; k < end; ++k, out += kPanelOutputs) values.WriteOne(line, k % 4, out);
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
