// Packed weights times codes: exact sums of bytes in int32, promoted to fp32 once a group. One line
// of 4-bit codes (packed_layout.h) against one row of x, for the outputs i = 0 … 15 of a panel and
// their neighbours i + 16; d counts the 4 inputs that a line spans:
//
//   memory   line d      | o0,o16 | o0,o16 | o0,o16 | o0,o16 | o1,o17 | …    byte 4 i + j, low,high
//   register low nibbles |  o0·4d    o0·4d+1  o0·4d+2  o0·4d+3  |  o1·4d …   lane i = 4 bytes
//   register high        |  o16·4d   …                          |  o17·4d …
//   register x           |  x[4d]    x[4d+1]  x[4d+2]  x[4d+3]  |  the same 4 bytes in every lane
//
//   sum[row][0].lane i += Σ_j low  byte j · x[4d + j]        vpdpbusd: 4 products a lane
//   sum[row][1].lane i += Σ_j high byte j · x[4d + j]
//
// A weight line that was loaded once meets R rows; a tile is R rows × V registers of sums, so that
// 2 V loads and unpackings serve R · V dot products.
//
// Weight bytes are unsigned, code + offset; a sum starts at -offset · Σ x instead of 0, which makes
// it the sum over codes at no cost. int32 wraps around on the way; the result is exact because it
// fits.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// How far ahead weights are asked for, in bytes of a panel.
constexpr int64_t kPrefetchBytes = 2048;

struct IntegerTile {
  static inline void Finish(const PackedBlock& b, int64_t vector, int64_t count) {
    WriteColumn(b, vector, count);
  }

  template <int R, int V>
  static inline void Run(const PackedBlock& b, TilePlace at, int64_t tiles) {
    if (at.step == b.layout->groups) {
      RunStep<R, V, OutlierStep<V>, Promotion>(b, at, tiles);
    } else {
      RunGroup<R, V, Promotion>(b, at, tiles);
    }
  }
  template <int R, int V, template <int, class> class Sink>
  static inline void RunGroup(const PackedBlock& b, TilePlace at, int64_t tiles) {
    if (V == 1 && at.half() == 1) {
      RunStep<R, V, GroupStep<V, 1>, Sink>(b, at, tiles);
    } else {
      RunStep<R, V, GroupStep<V, 0>, Sink>(b, at, tiles);
    }
  }

  /// 4-bit codes. Vector v of a tile is half (v + kHalf) % 2 of its panel.
  template <int V, int kHalf>
  struct GroupStep {
    static constexpr int64_t kStepBytes = kLineBytes;
    static constexpr bool Raw(int v) { return kRawHighNibbles && (v + kHalf) % kPanelVectors == 1; }
    static inline void LoadWeights(const uint8_t* w, int64_t panel_bytes, I32x16 (&weight)[V]) {
      if constexpr (V == 1) {
        const I32x16 bytes = LoadBytes(w);
        weight[0] = kHalf == 0 ? LowNibbles(bytes) : HighNibbles(bytes);
      } else {
#pragma GCC unroll 2
        for (int v = 0; v < V; v += kPanelVectors) {
          const I32x16 bytes = LoadBytes(w + v / kPanelVectors * panel_bytes);
          weight[v] = LowNibbles(bytes);
          weight[v + 1] = HighNibbles(bytes);
        }
      }
    }
    static inline I32x16 Dot(I32x16 sum, I32x16 w, I32x16 x) { return DotNibbles(sum, w, x); }
  };

  /// 8-bit codes.
  template <int V>
  struct OutlierStep {
    static constexpr int64_t kStepBytes = kPanelVectors * kLineBytes;
    static constexpr bool Raw(int) { return false; }
    static inline void LoadWeights(const uint8_t* w, int64_t panel_bytes, I32x16 (&weight)[V]) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        weight[v] = LoadBytes(w + v / kPanelVectors * panel_bytes + v % kPanelVectors * kLineBytes);
      }
    }
    static inline I32x16 Dot(I32x16 sum, I32x16 w, I32x16 x) { return DotBytes(sum, w, x); }
  };

  /// Where a step's products come from, for the tile at (row, vector).
  struct StepPlace {
    const uint8_t* w;
    const int8_t* x;
    const int32_t* start;
    const float* scale;
    int64_t dwords;

    StepPlace(const PackedBlock& b, TilePlace at, const uint8_t* codes) {
      const PackedLayout& l = *b.layout;
      const bool outliers = at.step == l.groups;
      w = codes + (outliers ? at.half() * kLineBytes : 0);
      x = b.codes + at.row * b.codes_stride +
          (outliers ? b.outlier_offset : at.step * l.group / 4 * 4);
      start = b.sums + at.row * b.sums_stride + (outliers ? b.sums_stride - 1 : 2 * at.step);
      scale = b.scales + at.row * b.scales_stride +
              (outliers ? b.outlier_scale : at.step * b.scale_step);
      dwords = outliers ? l.outlier_dwords : l.group_dwords;
    }
  };

  /// Where the sums of a step with fp16 scales go: to fp32.
  template <int V, class Step>
  struct Promotion {
    F32x16 scale[V];

    Promotion(const PackedBlock& b, TilePlace at) {
      const StepStream stream = FindStep(b, at);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        scale[v] = HalfScale(b, stream, v);
        // A raw sum is 16 times what it stands for. Both factors are exact.
        if (Step::Raw(v)) scale[v] = Mul(scale[v], Set(0.0625f));
      }
    }
    template <int R>
    inline void Add(const I32x16 (&sum)[R][V], const float* x_scale, int64_t x_scale_stride,
                    bool first, float* acc) const {
      UpdateAcc<R, V>(first, acc, [&](int r, int v, F32x16 so_far) {
        const F32x16 factor = Mul(Set(x_scale[r * x_scale_stride]), scale[v]);
        return Fma(ToFloat(sum[r][v]), factor, so_far);
      });
    }
  };

  /// Few rows: a step is short, and what happens between two steps counts. Sums of all steps stay
  /// in registers.
  template <int R>
  static inline void RunFewRows(const PackedBlock& b) {
    constexpr int V = kPanelVectors;
    for (int64_t panel = 0; panel < b.panels; ++panel) {
      F32x16 acc[R][V];
      ForTile<R, V>([&](int r, int v) { acc[r][v] = Zero(); });
      for (int64_t step = 0; step < b.layout->groups; ++step) {
        AddStep<R, GroupStep<V, 0>>(b, {0, panel * V, step}, acc);
      }
      if (b.layout->k8 > 0) {
        AddStep<R, OutlierStep<V>>(b, {0, panel * V, b.layout->groups}, acc);
      }
      ForTile<R, V>([&](int r, int v) { Store(b.acc + r * kColumnOutputs + v * 16, acc[r][v]); });
      WriteColumn(b, panel * V, V);
    }
  }

  template <int R, class Step>
  static inline void AddStep(const PackedBlock& b, TilePlace at, F32x16 (&acc)[R][kPanelVectors]) {
    constexpr int V = kPanelVectors;
    const StepStream stream = FindStep(b, at);
    const StepPlace place(b, at, stream.codes);
    I32x16 sum[R][V];
    BeginSums<R, V, Step>(place.start, b.sums_stride, sum);
    AddProducts<R, V, Step>(place.x, b.codes_stride, place.w, 0, place.dwords,
                            place.w + kPrefetchBytes, Step::kStepBytes, sum);
    __builtin_prefetch(place.w + kPrefetchBytes + place.dwords * Step::kStepBytes);
    const Promotion<V, Step> promotion(b, at);
    FinishSums<R, V, Step>(sum);
    ForTile<R, V>([&](int r, int v) {
      const F32x16 factor = Mul(Set(place.scale[r * b.scales_stride]), promotion.scale[v]);
      acc[r][v] = Fma(ToFloat(sum[r][v]), factor, acc[r][v]);
    });
  }

  template <int R, int V, class Step, template <int, class> class Sink>
  static inline void RunStep(const PackedBlock& b, TilePlace at, int64_t tiles) {
    const StepStream stream = FindStep(b, at);
    StepPlace place(b, at, stream.codes);
    float* acc = b.acc + at.row * kColumnOutputs;
    // Copies: stores to acc cannot change them.
    const int64_t dwords = place.dwords;
    const int64_t x_stride = b.codes_stride;
    const int64_t start_stride = b.sums_stride;
    const int64_t scale_stride = b.scales_stride;
    const int64_t panel_bytes = b.layout->panel_bytes;
    // The column's tiles share the work of asking for weights, codes and scales, so that requests
    // do not pile up; those of the first panel ask for the next step's rows.
    const int64_t all_tiles = (b.rows + R - 1) / R;
    const int64_t share = (dwords + 1) * Step::kStepBytes / (dwords * all_tiles) + 1;
    const uint8_t* next = place.w + kPrefetchBytes + at.row / R * dwords * share;
    const bool first_panel = at.vector == 0;

    const Sink<V, Step> sink(b, at);
    for (; tiles > 0; --tiles) {
      I32x16 sum[R][V];
      BeginSums<R, V, Step>(place.start, start_stride, sum);
      if (first_panel) PrefetchRows<R>(place.x + 4 * dwords, x_stride);
      AddProducts<R, V, Step>(place.x, x_stride, place.w, panel_bytes, dwords, next, share, sum);
      FinishSums<R, V, Step>(sum);
      sink.Add(sum, place.scale, scale_stride, at.step == 0, acc);
      next += dwords * share;
      place.x += R * x_stride;
      place.start += R * start_stride;
      place.scale += R * scale_stride;
      acc += R * kColumnOutputs;
    }
  }

  template <int R, int V, class Step>
  static inline void BeginSums(const int32_t* start, int64_t stride, I32x16 (&sum)[R][V]) {
    ForTile<R, V>(
        [&](int r, int v) { sum[r][v] = SetInt(start[r * stride + (Step::Raw(v) ? 1 : 0)]); });
  }

  /// low + 16 high -> 16 high
  template <int R, int V, class Step>
  static inline void FinishSums(I32x16 (&sum)[R][V]) {
    ForTile<R, V>([&](int r, int v) {
      if (Step::Raw(v)) sum[r][v] = SubInt(sum[r][v], sum[r][v == 0 ? 0 : v - 1]);
    });
  }

  /// Two lines of each row.
  template <int R>
  static inline void PrefetchRows(const int8_t* x, int64_t x_stride) {
    for (int r = 0; r < R; ++r) {
      __builtin_prefetch(x + r * x_stride);
      __builtin_prefetch(x + r * x_stride + kLineBytes);
    }
  }

  template <int R, int V, class Step>
  static inline void AddProducts(const int8_t* x, int64_t x_stride, const uint8_t* w,
                                 int64_t panel_bytes, int64_t dwords, const uint8_t* next,
                                 int64_t line_share, I32x16 (&sum)[R][V]) {
    for (; dwords > 0; --dwords) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v += kPanelVectors) {
        __builtin_prefetch(next + v / kPanelVectors * panel_bytes);
      }
      next += line_share;
      I32x16 weight[V];
      Step::LoadWeights(w, panel_bytes, weight);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const I32x16 value = SetFourBytes(x + r * x_stride);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = Step::Dot(sum[r][v], weight[v], value);
      }
      x += 4;
      w += Step::kStepBytes;
    }
  }
};

inline void MultiplyInteger(const PackedBlock& block) {
  if constexpr (kFewRows >= 4) {
    if (block.rows == 4) return IntegerTile::RunFewRows<4>(block);
    if (block.rows == 3) return IntegerTile::RunFewRows<3>(block);
    if (block.rows == 2) return IntegerTile::RunFewRows<2>(block);
  }
  if (block.rows == 1) return IntegerTile::RunFewRows<1>(block);
  RunTiles<IntegerTile, kIntegerRows, kIntegerVectors>(block, Steps(*block.layout));
}

/// Σ of 4 * dwords signed bytes.
inline int32_t SumCodes(const int8_t* x, int64_t dwords) {
  static constexpr int8_t kOnes[4] = {1, 1, 1, 1};
  const auto add = [&](I32x16 sum, int64_t dword) {
    const I32x16 bytes = LoadBytes(reinterpret_cast<const uint8_t*>(x) + 4 * dword);
    return DotBytes(sum, SetFourBytes(kOnes), bytes);
  };
  int32_t total = 0;
  int64_t i = 0;
  if (dwords >= 16) {
    I32x16 sum = SetInt(0);
    for (; i + 16 <= dwords; i += 16) sum = add(sum, i);
    total = SumIntLanes(sum);
  }
  if (i < dwords) {
    int32_t last[16];
    StoreInts(last, add(SetInt(0), i));
    for (int64_t j = 0; j < dwords - i; ++j) total += last[j];
  }
  return total;
}

inline int32_t WrappingProduct(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}

inline void StartSums(const PackedLayout& l, bool folded, const int8_t* codes,
                      int64_t outlier_offset, int32_t* sums) {
  if (folded) *sums++ = WrappingProduct(-128, SumCodes(codes, l.groups * l.group_dwords));
  for (int64_t g = 0; !folded && g < l.groups; ++g) {
    const int32_t sum = SumCodes(codes + g * l.group / 4 * 4, l.group_dwords);
    *sums++ = WrappingProduct(-8, sum);
    *sums++ = WrappingProduct(-136, sum);
  }
  *sums = WrappingProduct(-128, SumCodes(codes + outlier_offset, l.outlier_dwords));
}

}  // namespace
}  // namespace atom::kernels::cpu
