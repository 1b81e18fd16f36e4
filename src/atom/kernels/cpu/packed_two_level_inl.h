// Packed weights of two-level scales times codes: one sum of integers over all groups, promoted to
// fp32 once. Where multipliers meet the sum depends on the product:
//
//   as it is   Σ_g k_g · (Σ code · x)    a product of int32 for each group and row: where weights
//                                        are waited for, and without vpdpbusd for bytes
//   folded     Σ (code · k_g) · x        codes · k_g as bytes in scratch first, for all rows of a
//                                        block: then the products are those of 8-bit codes alone
//
// Multipliers of activations are in their codes already. Folding takes a mask, one product of
// 16-bit words for two codes, and one sum of bytes:
//
//   (c₁ · 256 + c₀) · k = (c₁ k) · 256 + c₀ k      c = code + 8 <= 15, k <= 15: c k fits its byte
//   c k + (128 - 8 k)   = code · k + 128           8 … 233: an 8-bit line of packed_layout.h
//
// A column of V vectors is folded for so many inputs at a time as stay in L1 beside the rows.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

inline int64_t FoldedDwords(const PackedLayout& l) { return l.groups * l.group_dwords; }

/// Of both vectors of a panel and one group, a byte each lane: the second in the high nibble.
inline I32x16 Multipliers(const PackedBlock& b, TilePlace at, int v) {
  const uint8_t* panel =
      b.w + TilePlace{at.row, at.vector + v, at.step}.panel() * b.layout->panel_bytes;
  return ByteOfLane(LoadBytes(panel + MultiplierOffset(*b.layout, at.step)),
                    at.step % kBlockGroups);
}

/// Steps of the sum of integers.
inline int64_t SumSteps(const PackedBlock& b) {
  if (b.folded == nullptr) return b.layout->groups;
  return (FoldedDwords(*b.layout) + kFoldedDwords - 1) / kFoldedDwords;
}

/// What makes two 8-bit lines of a 4-bit one, for the two vectors of a panel and one group. High
/// nibbles stay where they are, 16 c, and the upper half of the product with 4096 k is c k.
struct Fold {
  I32x16 low_words;    ///< k of the first vector in every word
  I32x16 high_words;   ///< 4096 k of the second
  I32x16 low_offset;   ///< 128 - 8 k in every byte
  I32x16 high_offset;  ///< likewise

  explicit Fold(I32x16 multipliers) {  // of the first vector, and 16 times of the second
    const I32x16 both = RepeatByte(multipliers);
    const I32x16 low = AndInt(both, SetInt(0x0f0f0f0f));
    const I32x16 high = AndInt(ShiftRight<1>(both), SetInt(0x78787878));  // 8 k
    const I32x16 zero = SetInt(static_cast<int32_t>(0x80808080u));
    low_words = AndInt(both, SetInt(0x000f000f));
    high_words = AndInt(both, SetInt(static_cast<int32_t>(0xf000f000u)));
    low_offset = SubInt(zero, ShiftLeft<3>(low));
    high_offset = SubInt(zero, high);
  }
  inline I32x16 Low(I32x16 bytes) const {
    return AddBytes(MulWords(LowNibbles(bytes), low_words), low_offset);
  }
  inline I32x16 High(I32x16 bytes) const {
    const I32x16 nibbles = AndInt(bytes, SetInt(static_cast<int32_t>(0xf0f0f0f0u)));
    return AddBytes(MulHighWords(nibbles, high_words), high_offset);
  }
};

struct TwoLevelTile {
  static inline void Finish(const PackedBlock& b, int64_t vector, int64_t count) {
    WriteColumn(b, vector, count);
  }

  /// The sum's steps, its promotion, the outliers.
  template <int R, int V>
  static inline void Run(const PackedBlock& b, TilePlace at, int64_t tiles) {
    const int64_t sum_steps = SumSteps(b);
    if (at.step == sum_steps) return Promote<R, V>(b, at, tiles);
    if (at.step > sum_steps) {
      at.step = b.layout->groups;
      using Tile = IntegerTile;
      return Tile::RunStep<R, V, Tile::OutlierStep<V>, Tile::Promotion>(b, at, tiles);
    }
    if constexpr (kHasByteDot) {
      if (b.folded != nullptr) return RunFolded<R, V>(b, at, tiles);
    }
    IntegerTile::RunGroup<R, V, Multiplication>(b, at, tiles);
  }

  /// Where the sums of a group go: to one in int32, kept where the fp32 ones are later.
  template <int V, class Step>
  struct Multiplication {
    I32x16 multiplier[V];

    Multiplication(const PackedBlock& b, TilePlace at) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) multiplier[v] = Multiplier(b, at, v);
    }
    inline I32x16 Product(I32x16 sum, int v) const {
      return MulInt(Step::Raw(v) ? SixteenthOf(sum) : sum, multiplier[v]);
    }
    template <int R>
    inline void Add(const I32x16 (&sum)[R][V], const float*, int64_t, bool first,
                    float* acc) const {
      ForTile<R, V>([&](int r, int v) {
        float* so_far = acc + r * kColumnOutputs + v * 16;
        const I32x16 product = Product(sum[r][v], v);
        StoreInts(so_far, first ? product : AddInt(LoadSums(so_far), product));
      });
    }
  };

  static inline I32x16 LoadSums(const float* acc) {
    return LoadBytes(reinterpret_cast<const uint8_t*>(acc));
  }
  static inline F32x16 Promoted(I32x16 sum, float x_scale, F32x16 row_scale) {
    return Fma(ToFloat(sum), Mul(Set(x_scale), row_scale), Zero());
  }

  template <int R, int V>
  static inline void Promote(const PackedBlock& b, TilePlace at, int64_t tiles) {
    float* acc = b.acc + at.row * kColumnOutputs;
    const float* scale = b.scales + at.row * b.scales_stride;
    const bool empty = b.layout->groups == 0;
    for (; tiles > 0; --tiles) {
      ForTile<R, V>([&](int r, int v) {
        float* sum = acc + r * kColumnOutputs + v * 16;
        const F32x16 value =
            Promoted(LoadSums(sum), scale[r * b.scales_stride], RowScale(b, at, v));
        Store(sum, empty ? Zero() : value);
      });
      acc += R * kColumnOutputs;
      scale += R * b.scales_stride;
    }
  }

  /// Few rows: sums of all groups stay in registers. A group has kDwords lines, 0: as many as the
  /// layout says; a loop of a known length is unrolled.
  template <int R, int64_t kDwords>
  static inline void RunFewRows(const PackedBlock& b) {
    constexpr int V = kPanelVectors;
    using Step = IntegerTile::GroupStep<V, 0>;
    const PackedLayout& l = *b.layout;
    for (int64_t panel = 0; panel < b.panels; ++panel) {
      const TilePlace first{0, panel * V, 0};
      I32x16 total[R][V];
      ForTile<R, V>([&](int r, int v) { total[r][v] = SetInt(0); });
      for (TilePlace at = first; at.step < l.groups; ++at.step) {
        const IntegerTile::StepPlace place(b, at, FindStep(b, at).codes);
        I32x16 sum[R][V];
        IntegerTile::BeginSums<R, V, Step>(place.start, b.sums_stride, sum);
        const int64_t dwords = kDwords > 0 ? kDwords : place.dwords;
        IntegerTile::AddProducts<R, V, Step>(place.x, b.codes_stride, place.w, 0, dwords,
                                             place.w + kPrefetchBytes, Step::kStepBytes, sum);
        IntegerTile::FinishSums<R, V, Step>(sum);
        const Multiplication<V, Step> multiplication(b, at);
        ForTile<R, V>([&](int r, int v) {
          total[r][v] = AddInt(total[r][v], multiplication.Product(sum[r][v], v));
        });
        if (at.step % kBlockGroups == 0) {
          __builtin_prefetch(place.w + kPrefetchBytes - kLineBytes);  // multipliers
        }
      }
      F32x16 acc[R][V];
      ForTile<R, V>([&](int r, int v) {
        acc[r][v] = Promoted(total[r][v], b.scales[r * b.scales_stride], RowScale(b, first, v));
      });
      if (l.k8 > 0) {
        IntegerTile::AddStep<R, IntegerTile::OutlierStep<V>>(b, {0, panel * V, l.groups}, acc);
      }
      ForTile<R, V>([&](int r, int v) { Store(b.acc + r * kColumnOutputs + v * 16, acc[r][v]); });
      WriteColumn(b, panel * V, V);
    }
  }

  /// 8-bit lines in scratch, those of V vectors side by side.
  template <int V>
  struct FoldedStep {
    static constexpr int64_t kStepBytes = V * kLineBytes;
    static inline void LoadWeights(const uint8_t* w, int64_t, I32x16 (&weight)[V]) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) weight[v] = LoadBytes(w + v * kLineBytes);
    }
    static inline I32x16 Dot(I32x16 sum, I32x16 w, I32x16 x) { return DotBytes(sum, w, x); }
  };

  template <int R, int V>
  static inline void RunFolded(const PackedBlock& b, TilePlace at, int64_t tiles) {
    const PackedLayout& l = *b.layout;
    const int64_t first = at.step * kFoldedDwords;
    const int64_t left = FoldedDwords(l) - first;
    const int64_t dwords = left < kFoldedDwords ? left : kFoldedDwords;
    if (at.row == 0) FoldColumn<V>(b, at, first, dwords, b.folded);  // for the tiles below, too
    const int8_t* x = b.codes + at.row * b.codes_stride + 4 * first;
    const int32_t* start = b.sums + at.row * b.sums_stride;
    float* acc = b.acc + at.row * kColumnOutputs;
    // Copies: stores to acc cannot change them.
    const int64_t x_stride = b.codes_stride;
    const int64_t start_stride = b.sums_stride;
    const int64_t panel_bytes = l.panel_bytes;
    const uint8_t* folded = b.folded;
    // The column's tiles share the work of asking for what is folded next.
    const int64_t share = kLineBytes * R / b.rows + 1;
    const TilePlace last{at.row, at.vector, (first + dwords - 1) / l.group_dwords};
    const uint8_t* next = FindStep(b, last).codes + l.group_bytes + at.row / R * dwords * share;
    const bool last_step = first + dwords == FoldedDwords(l);
    float* y = b.out.y + at.row * b.out.y_stride + at.vector * 16;
    for (; tiles > 0; --tiles) {
      if (last_step && b.out.y_rows == nullptr) PrefetchOutputs<R, V>(b, y);
      y += R * b.out.y_stride;
      I32x16 sum[R][V];
      if (at.step == 0) {
        ForTile<R, V>([&](int r, int v) { sum[r][v] = SetInt(start[r * start_stride]); });
      } else {
        ForTile<R, V>(
            [&](int r, int v) { sum[r][v] = LoadSums(acc + r * kColumnOutputs + v * 16); });
      }
      IntegerTile::PrefetchRows<R>(x + R * x_stride, x_stride);
      IntegerTile::PrefetchRows<R>(x + R * x_stride + 2 * kLineBytes, x_stride);
      IntegerTile::AddProducts<R, V, FoldedStep<V>>(x, x_stride, folded, panel_bytes, dwords, next,
                                                    share, sum);
      ForTile<R, V>([&](int r, int v) { StoreInts(acc + r * kColumnOutputs + v * 16, sum[r][v]); });
      next += dwords * share;
      x += R * x_stride;
      start += R * start_stride;
      acc += R * kColumnOutputs;
    }
  }

  /// Where sums will be written to, soon.
  template <int R, int V>
  static inline void PrefetchOutputs(const PackedBlock& b, const float* y) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) __builtin_prefetch(y + r * b.out.y_stride + v * 16, 1);
    }
  }

  /// Lines [first, first + dwords) of codes, which whole groups follow one another in.
  template <int V>
  static inline void FoldColumn(const PackedBlock& b, TilePlace at, int64_t first, int64_t dwords,
                                uint8_t* out) {
    const PackedLayout& l = *b.layout;
    TilePlace group{0, at.vector, first / l.group_dwords};
    int64_t inside = first - group.step * l.group_dwords;
    for (int64_t line = first; line < first + dwords; ++group.step, inside = 0) {
      const int64_t rest = first + dwords - line;
      const int64_t count = l.group_dwords - inside < rest ? l.group_dwords - inside : rest;
      const uint8_t* codes = FindStep(b, group).codes + inside * kLineBytes;
      if constexpr (V == 1) {
        const Fold fold(Multipliers(b, group, 0));
        for (int64_t i = 0; i < count; ++i, codes += kLineBytes, out += kLineBytes) {
          const I32x16 bytes = LoadBytes(codes);
          StoreInts(out, at.half() == 0 ? fold.Low(bytes) : fold.High(bytes));
        }
      } else {
#pragma GCC unroll 2
        for (int v = 0; v < V; v += kPanelVectors) {
          const Fold fold(Multipliers(b, group, v));
          const uint8_t* from = codes + v / kPanelVectors * l.panel_bytes;
          uint8_t* to = out + v * kLineBytes;
          for (int64_t i = 0; i < count; ++i, from += kLineBytes, to += V * kLineBytes) {
            const I32x16 bytes = LoadBytes(from);
            StoreInts(to, fold.Low(bytes));
            StoreInts(to + kLineBytes, fold.High(bytes));
          }
        }
        out += count * V * kLineBytes;
      }
      line += count;
    }
  }
};

template <int R>
void MultiplyFewRows(const PackedBlock& block) {
  constexpr int64_t kPresetDwords = 8;  // groups of 32
  if (block.layout->group_dwords == kPresetDwords) {
    return TwoLevelTile::RunFewRows<R, kPresetDwords>(block);
  }
  TwoLevelTile::RunFewRows<R, 0>(block);
}

inline void MultiplyTwoLevel(const PackedBlock& block) {
  if (block.folded == nullptr) {
    if constexpr (kFewRows >= 4) {
      if (block.rows == 4) return MultiplyFewRows<4>(block);
      if (block.rows == 3) return MultiplyFewRows<3>(block);
      if (block.rows == 2) return MultiplyFewRows<2>(block);
    }
    if (block.rows == 1) return MultiplyFewRows<1>(block);
  }
  const int64_t steps = SumSteps(block) + (block.layout->k8 > 0 ? 2 : 1);
  RunTiles<TwoLevelTile, kIntegerRows, kIntegerVectors>(block, steps);
}

}  // namespace
}  // namespace atom::kernels::cpu
