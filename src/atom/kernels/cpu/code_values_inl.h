// Codes of others (code_layout.h) as the values that they stand for, in registers, four inputs of a
// panel at a time. What reads them is a type of steps: code_rows_inl.h multiplies them where they
// are; WriteValues writes them to scratch that stays in the nearest caches, where the dense product
// reads them. Either way an output is the chain that dense weights have.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// The lines of four inputs, shifted so that every code is a field of some copy.
template <int kBits>
struct CodeLines;

template <>
struct CodeLines<4> {
  static constexpr int64_t kBytes = kLineBytes;
  static constexpr int kShifts = 2;  // places that the codes of one vector are in

  I32x16 copies[3];

  inline explicit CodeLines(const uint8_t* line) {
    copies[0] = LoadBytes(line);
    copies[1] = ShiftRight<12>(copies[0]);
    copies[2] = ShiftLeft<8>(copies[0]);
  }
  template <int V, int J>
  static constexpr int Copy() {
    constexpr int kBit = NibbleBit(V, J);
    return kBit < 8 ? 2 : kBit < 20 ? 0 : 1;
  }
  /// The place of input J's codes in vector V, for CodeField.
  template <int V, int J>
  static constexpr int Place() {
    constexpr int kBit = NibbleBit(V, J);
    return kBit < 8 ? kBit + 8 : kBit < 20 ? kBit : kBit - 12;
  }
  /// The first of its places, the second is four bits higher.
  static constexpr int FirstPlace(int v) { return v == 0 ? 8 : 12; }
};

template <>
struct CodeLines<8> {
  static constexpr int64_t kBytes = 2 * kLineBytes;
  static constexpr int kShifts = 1;

  I32x16 copies[2 * 4];

  inline explicit CodeLines(const uint8_t* line) {
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) {
      const I32x16 codes = LoadBytes(line + v * kLineBytes);
      copies[4 * v] = ShiftLeft<8>(codes);
      copies[4 * v + 1] = codes;
      copies[4 * v + 2] = ShiftRight<8>(codes);
      copies[4 * v + 3] = ShiftRight<16>(codes);
    }
  }
  template <int V, int J>
  static constexpr int Copy() {
    return 4 * V + J;
  }
  template <int, int>
  static constexpr int Place() {
    return 8;
  }
  static constexpr int FirstPlace(int) { return 8; }
};

/// What fields at `place` hold besides a code: 2^(23 - place).
constexpr float BaseAt(int place) { return static_cast<float>(1 << (23 - place)); }

/// A group's scales, and what turns fields into values.
template <int kBits, CodeKind kKind>
struct GroupValues {
  using Lines = CodeLines<kBits>;
  static constexpr float kMiddle = kBits == 4 ? 8.0f : 128.0f;

  F32x16 scale[kPanelVectors];
  F32x16 shift[kPanelVectors][Lines::kShifts];

  inline void SetGroup(const CodeLayout& l, const uint8_t* group) {
#pragma GCC unroll 2
    for (int v = 0; v < kPanelVectors; ++v) {
      if constexpr (kKind == CodeKind::kCentered) {
        scale[v] = Widen(reinterpret_cast<const Half*>(group) + 16 * v);
      } else {
        scale[v] = l.wide_scales ? Load(reinterpret_cast<const float*>(group) + 16 * v)
                                 : Widen(reinterpret_cast<const Half*>(group) + 16 * v);
      }
#pragma GCC unroll 2
      for (int s = 0; s < Lines::kShifts; ++s) {
        const float zero = BaseAt(Lines::FirstPlace(v) + 4 * s) + kMiddle;
        if constexpr (kKind == CodeKind::kCentered) {
          shift[v][s] = Mul(scale[v], Set(-zero));
        } else {
          shift[v][s] = Widen(reinterpret_cast<const Half*>(group + l.scale_bytes) + 16 * v);
          if constexpr (kKind != CodeKind::kOffsets) shift[v][s] = Add(shift[v][s], Set(zero));
        }
      }
    }
  }

  /// Of input J of the four in `lines`, outputs 16 V ….
  template <int V, int J>
  inline F32x16 Value(const Lines& lines) const {
    constexpr int kPlace = Lines::template Place<V, J>();
    const F32x16 field = CodeField<kPlace, kBits>(lines.copies[Lines::template Copy<V, J>()]);
    const F32x16& by = shift[V][(kPlace - Lines::FirstPlace(V)) / 4];
    // Of scales with 11 bits, shifts have 24 at the most: the result is exact.
    if constexpr (kKind == CodeKind::kCentered) return Fma(field, scale[V], by);
    if constexpr (kKind == CodeKind::kOffsets) {
      return Fma(scale[V], Sub(field, Set(BaseAt(kPlace))), by);
    }
    const F32x16 value = Mul(scale[V], Sub(field, by));
    if constexpr (kKind == CodeKind::kZerosHalf) return RoundTo<Half>(value);
    if constexpr (kKind == CodeKind::kZerosBf16) return RoundTo<BFloat16>(value);
    return value;
  }
};

/// One past the last input of a stretch of one group that begins at k.
inline int64_t EndOfGroup(const CodeLayout& l, const int32_t* groups_of, int64_t k, int64_t last) {
  int64_t end = k + 1;
  if (groups_of == nullptr) {
    end = (k / l.group + 1) * l.group;
    return end < last ? end : last;
  }
  while (end < last && groups_of[end] == groups_of[k]) ++end;
  return end;
}

/// Inputs [first, last), ascending: steps.Four(line), or steps.One<J>(line), where the next ones
/// are all four, or the one, of the lines that begin `line` bytes behind a panel.
/// steps.SetGroup(at) comes before those of a group, whose scales are there.
template <int64_t kStep, class Steps>
[[gnu::always_inline]] inline void ForInputs(const CodeLayout& l, const int32_t* groups_of,
                                             int64_t first, int64_t last, Steps& steps) {
  for (int64_t k = first; k < last;) {
    const int64_t g = groups_of == nullptr ? k / l.group : groups_of[k];
    const int64_t end = EndOfGroup(l, groups_of, k, last);
    steps.SetGroup(l.code_bytes + g * l.group_bytes);
    const auto one = [&] {
      const int64_t line = k / 4 * kStep;
      if (k % 4 == 0) steps.template One<0>(line);
      if (k % 4 == 1) steps.template One<1>(line);
      if (k % 4 == 2) steps.template One<2>(line);
      if (k % 4 == 3) steps.template One<3>(line);
      ++k;
    };
    while (k < end && k % 4 != 0) one();
    for (int64_t line = k / 4 * kStep; k + 4 <= end; k += 4, line += kStep) steps.Four(line);
    while (k < end) one();
  }
}

/// Values of one panel, to scratch.
template <int kBits, CodeKind kKind>
struct WriteSteps {
  using Lines = CodeLines<kBits>;

  const CodeLayout& layout;
  const uint8_t* panel;
  float* out;
  GroupValues<kBits, kKind> values;

  inline void SetGroup(int64_t at) { values.SetGroup(layout, panel + at); }
  inline void Four(int64_t line) {
    const Lines lines(panel + line);
    Write<0>(lines);
    Write<1>(lines);
    Write<2>(lines);
    Write<3>(lines);
  }
  template <int J>
  inline void One(int64_t line) {
    Write<J>(Lines(panel + line));
  }
  template <int J>
  inline void Write(const Lines& lines) {
    Store(out, values.template Value<0, J>(lines));
    Store(out + 16, values.template Value<1, J>(lines));
    out += kPanelOutputs;
  }
};

template <int kBits, CodeKind kKind>
void WriteValues(const CodeBlock& b) {
  WriteSteps<kBits, kKind> steps{*b.layout, b.panel, b.out, {}};
  ForInputs<CodeLines<kBits>::kBytes>(*b.layout, b.groups_of, b.first, b.end, steps);
}

}  // namespace
}  // namespace atom::kernels::cpu
