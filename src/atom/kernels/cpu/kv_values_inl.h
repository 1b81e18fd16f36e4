// What KV pages hold (kv_page.h), as fp32: words of K, one position a lane; rows of V, one channel
// a lane; scales and offsets of codes.
#pragma once

#include <cstdint>
#include <utility>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

// Words of K: Value<j> is the j-th channel of each word.
template <class T>  // BFloat16 or Half
struct HalfWords {
  static constexpr int kChannels = 2;
  template <int kChannel>
  static F32x16 Value(I32x16 w) {
    return HalfOfWord<T, kChannel>(w);
  }
};
struct FloatWords {
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

constexpr int64_t kWordLineBytes = 64;  // a word of 16 positions

/// K of a page into [head_dim][32]: 16 lanes of it.
template <class Words>
void LoadKeys(const KvRows& rows, float* out) {
  for (int64_t first = 0; first < rows.head_dim; first += Words::kChannels) {
    const I32x16 word = LoadBytes(rows.values + first / Words::kChannels * kWordLineBytes);
    ForEachChannel<Words>([&](auto j) {
      if (first + j < rows.head_dim) {
        Store(out + (first + j) * kPanelOutputs, Words::template Value<j>(word));
      }
    });
  }
}

/// V of a page into [64][32] per 32 channels. The last values of a row may be any where 16 does not
/// divide head_dim.
template <class T>
void LoadValues(const KvRows& rows, float* out, int64_t panel_stride) {
  for (int64_t p = 0; p < rows.count; ++p) {
    const auto* row = reinterpret_cast<const T*>(rows.values + p * rows.row_bytes);
    for (int64_t i = 0; i < rows.head_dim; i += 16) {
      Store(out + i / kPanelOutputs * panel_stride + p * kPanelOutputs + i % kPanelOutputs,
            Widen(row + i));
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
