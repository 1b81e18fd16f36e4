// What KV pages hold (kv_page.h), as fp32: words of K, one position a lane; rows of V, one channel
// a lane. A value of codes is scale * code + offset, rounded once; scale * (code - zero) is exact.
#pragma once

#include <cstdint>
#include <utility>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

// Words of K: Value<j> is the j-th channel of each word; its code where they are quantized.
struct Int4Words {
  static constexpr bool kQuantized = true;
  static constexpr int kChannels = 8;
  template <int kChannel>
  static F32x16 Value(I32x16 w) {
    return NibbleCode<4 * kChannel>(w);
  }
};
struct Int8Words {
  static constexpr bool kQuantized = true;
  static constexpr int kChannels = 4;
  template <int kChannel>
  static F32x16 Value(I32x16 w) {
    return ByteCode<8 * kChannel>(w);
  }
};
template <class T>  // BFloat16 or Half
struct HalfWords {
  static constexpr bool kQuantized = false;
  static constexpr int kChannels = 2;
  template <int kChannel>
  static F32x16 Value(I32x16 w) {
    return HalfOfWord<T, kChannel>(w);
  }
};
struct FloatWords {
  static constexpr bool kQuantized = false;
  static constexpr int kChannels = 1;
  template <int kChannel>
  static F32x16 Value(I32x16 w) {
    return AsFloats(w);
  }
};

/// Calls each(std::integral_constant<int, j>) for the channels of a word, ascending.
template <class Words, class Each>
[[gnu::always_inline]] inline void ForEachChannel(const Each& each) {
  [&]<int... kChannel>(std::integer_sequence<int, kChannel...>) {
    (each(std::integral_constant<int, kChannel>()), ...);
  }
  (std::make_integer_sequence<int, Words::kChannels>());
}

/// Of 16 positions: x = scale * code + offset. scale * zero has at most 19 bits.
struct KvScales {
  F32x16 scale;
  F32x16 offset;

  static KvScales Of(const KvRows& rows) {
    const F32x16 scale = Widen(rows.scales);
    const F32x16 stored = Widen(rows.offsets);
    return {scale, rows.integer_zeros ? Sub(Zero(), Mul(scale, stored)) : stored};
  }
};

/// Those of a page's keys, one position a lane.
template <class Words>
struct KeyScales {
  KvScales scales;

  static KeyScales Of(const KvRows& rows) {
    if constexpr (Words::kQuantized) return {KvScales::Of(rows)};
    return {{Zero(), Zero()}};
  }
  [[gnu::always_inline]] F32x16 Apply(F32x16 value) const {
    if constexpr (Words::kQuantized) return Fma(value, scales.scale, scales.offset);
    return value;
  }
};

constexpr int64_t kWordLineBytes = 64;  // a word of 16 positions

/// K of a page into [head_dim][32]: 16 lanes of it.
template <class Words>
void LoadKeys(const KvRows& rows, float* out) {
  const KeyScales<Words> scales = KeyScales<Words>::Of(rows);
  for (int64_t first = 0; first < rows.head_dim; first += Words::kChannels) {
    const I32x16 word = LoadBytes(rows.values + first / Words::kChannels * kWordLineBytes);
    ForEachChannel<Words>([&](auto j) {
      if (first + j < rows.head_dim) {
        Store(out + (first + j) * kPanelOutputs, scales.Apply(Words::template Value<j>(word)));
      }
    });
  }
}

// Rows of V: 16 values from channel i on.
struct Int4Row {
  static F32x16 Values(const uint8_t* row, int64_t i, F32x16 scale, F32x16 offset) {
    return Fma(ToFloat(ExpandNibbles(row + i / 2)), scale, offset);
  }
  static constexpr bool kQuantized = true;
};
struct Int8Row {
  static F32x16 Values(const uint8_t* row, int64_t i, F32x16 scale, F32x16 offset) {
    return Fma(ToFloat(ExpandBytes(row + i)), scale, offset);
  }
  static constexpr bool kQuantized = true;
};
template <class T>
struct FloatRow {
  static F32x16 Values(const uint8_t* row, int64_t i, F32x16, F32x16) {
    return Widen(reinterpret_cast<const T*>(row) + i);
  }
  static constexpr bool kQuantized = false;
};

/// Those of V's 16 positions, as floats.
template <class Row>
struct ValueScales {
  float scale[16] = {};
  float offset[16] = {};

  explicit ValueScales(const KvRows& rows) {
    if constexpr (Row::kQuantized) {
      const KvScales scales = KvScales::Of(rows);
      Store(scale, scales.scale);
      Store(offset, scales.offset);
    }
  }
};

/// V of a page into [64][32] per 32 channels. The last values of a row may be any where 16 does not
/// divide head_dim.
template <class Row>
void LoadValues(const KvRows& rows, float* out, int64_t panel_stride) {
  const ValueScales<Row> scales(rows);
  for (int64_t p = 0; p < rows.count; ++p) {
    const uint8_t* row = rows.values + p * rows.row_bytes;
    const F32x16 scale = Set(scales.scale[p]);
    const F32x16 offset = Set(scales.offset[p]);
    for (int64_t i = 0; i < rows.head_dim; i += 16) {
      Store(out + i / kPanelOutputs * panel_stride + p * kPanelOutputs + i % kPanelOutputs,
            Row::Values(row, i, scale, offset));
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
