// Products with packed weights (packed_layout.h). Integer activations: exact sums of bytes in
// int32, promoted to fp32 once a group. Dense activations (W4A16): one fma chain a group.
//
// Weight bytes are unsigned, code + offset; a sum starts at -offset · Σ x instead of 0, which makes
// it the sum over codes at no cost. int32 wraps around on the way; the result is exact because it
// fits.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// Where a column of tiles finds the codes and scales of its step, for its first vector.
struct StepStream {
  const uint8_t* codes;
  const Half* scales;
};
inline StepStream FindStep(const PackedBlock& b, TilePlace at) {
  const PackedLayout& l = *b.layout;
  const uint8_t* codes = b.w + at.panel() * l.panel_bytes + at.step * l.group_bytes;
  const int64_t lines = at.step < l.groups ? l.group_dwords : 2 * l.outlier_dwords;
  const auto* scales = reinterpret_cast<const Half*>(codes + lines * kLineBytes);
  return {codes, scales + at.half() * 16};
}
inline F32x16 WeightScale(const PackedBlock& b, StepStream stream, int v) {
  return Widen(stream.scales + v / kPanelVectors * (b.layout->panel_bytes / 2) +
               v % kPanelVectors * 16);
}

/// acc = fma(value(r, v), factor(r, v), acc) for a tile, where acc = 0 before the first step.
template <int R, int V, class Value, class Factor>
[[gnu::always_inline]] inline void Promote(const Value& value, const Factor& factor, bool first,
                                           float* acc, int64_t stride) {
  if (first) {
    ForTile<R, V>([&](int r, int v) {
      Store(acc + r * stride + v * 16, Fma(value(r, v), factor(r, v), Zero()));
    });
  } else {
    ForTile<R, V>([&](int r, int v) {
      float* sum = acc + r * stride + v * 16;
      Store(sum, Fma(value(r, v), factor(r, v), Load(sum)));
    });
  }
}

/// How far ahead weights are asked for, in bytes of a panel.
constexpr int64_t kPrefetchBytes = 4096;

struct IntegerTile {
  template <int R, int V>
  static inline void Run(const PackedBlock& b, TilePlace at, int64_t tiles) {
    if (at.step == b.layout->groups) {
      RunStep<R, V, OutlierStep<V>>(b, at, tiles);
    } else if (V == 1 && at.half() == 1) {
      RunStep<R, V, GroupStep<V, 1>>(b, at, tiles);
    } else {
      RunStep<R, V, GroupStep<V, 0>>(b, at, tiles);
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

  template <int R, int V, class Step>
  static inline void RunStep(const PackedBlock& b, TilePlace at, int64_t tiles) {
    const PackedLayout& l = *b.layout;
    const bool outliers = at.step == l.groups;
    const StepStream stream = FindStep(b, at);
    const uint8_t* w = stream.codes + (outliers ? at.half() * kLineBytes : 0);
    const int64_t dwords = outliers ? l.outlier_dwords : l.group_dwords;
    const int8_t* x = b.codes + at.row * b.codes_stride +
                      (outliers ? b.outlier_offset : at.step * l.group / 4 * 4);
    const int32_t* start = b.sums + at.row * b.sums_stride + 2 * at.step;
    const float* scale =
        b.scales + at.row * b.scales_stride + (outliers ? b.outlier_scale : at.step * b.scale_step);
    float* acc = b.acc + at.row * b.acc_stride + at.vector * 16;
    // Copies: stores to acc cannot change them.
    const int64_t x_stride = b.codes_stride;
    const int64_t start_stride = b.sums_stride;
    const int64_t scale_stride = b.scales_stride;
    const int64_t acc_stride = b.acc_stride;
    const int64_t panel_bytes = l.panel_bytes;
    // The first tile waits for weights, the first panel for rows: both ask for the next step's.
    const bool first_panel = at.vector == 0;
    int64_t ahead = kPrefetchBytes;

    F32x16 weight_scale[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      weight_scale[v] = WeightScale(b, stream, v);
      // A raw sum is 16 times what it stands for. Both factors are exact.
      if (Step::Raw(v)) weight_scale[v] = Mul(weight_scale[v], Set(0.0625f));
    }
    for (; tiles > 0; --tiles) {
      I32x16 sum[R][V];
      ForTile<R, V>([&](int r, int v) {
        sum[r][v] = SetInt(start[r * start_stride + (Step::Raw(v) ? 1 : 0)]);
      });
      if (first_panel) PrefetchRows<R>(x + 4 * dwords, x_stride);
      AddProducts<R, V, Step>(x, x_stride, w, panel_bytes, dwords, ahead, sum);
      ahead = 0;
      ForTile<R, V>([&](int r, int v) {  // low + 16 high -> 16 high
        if (Step::Raw(v)) sum[r][v] = SubInt(sum[r][v], sum[r][v == 0 ? 0 : v - 1]);
      });
      Promote<R, V>(
          [&](int r, int v) { return ToFloat(sum[r][v]); },
          [&](int r, int v) { return Mul(Set(scale[r * scale_stride]), weight_scale[v]); },
          at.step == 0, acc, acc_stride);
      x += R * x_stride;
      start += R * start_stride;
      scale += R * scale_stride;
      acc += R * acc_stride;
    }
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
                                 int64_t panel_bytes, int64_t dwords, int64_t ahead,
                                 I32x16 (&sum)[R][V]) {
    for (; dwords > 0; --dwords) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v += kPanelVectors) {
        __builtin_prefetch(w + v / kPanelVectors * panel_bytes + ahead);
      }
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

/// The sums of one tile of W4A16, and where it reads.
template <int R, int V>
struct FloatGroup {
  F32x16 dot[R][V];
  const float* x;
  int64_t x_stride;
  const uint8_t* w;
  int64_t panel_bytes;
  int64_t first_half;

  /// Input j of the line at w, for 4-bit codes.
  template <int J>
  inline void AddNibble() {
    F32x16 weight[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const I32x16 line = LoadBytes(w + v / kPanelVectors * panel_bytes);
      const bool high = V > 1 ? v % kPanelVectors == 1 : first_half == 1;
      weight[v] = high ? NibbleValue<8 * J + 4>(line) : NibbleValue<8 * J>(line);
    }
    AddProducts(weight);
  }
  /// Input j of the pair of lines at w, for 8-bit codes.
  template <int J>
  inline void AddByte() {
    F32x16 weight[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      weight[v] = ByteValue<8 * J>(LoadBytes(w + v / kPanelVectors * panel_bytes +
                                             (first_half + v) % kPanelVectors * kLineBytes));
    }
    AddProducts(weight);
  }
  inline void AddProducts(const F32x16 (&weight)[V]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F32x16 value = Set(x[r * x_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) dot[r][v] = Fma(value, weight[v], dot[r][v]);
    }
    ++x;
  }
};

struct FloatTile {
  template <int R, int V>
  static inline void Run(const PackedBlock& b, TilePlace at, int64_t tiles) {
    const PackedLayout& l = *b.layout;
    const StepStream stream = FindStep(b, at);
    const float* x = b.x + at.row * b.x_stride + at.step * l.group;  // groups · G = K4
    float* acc = b.acc + at.row * b.acc_stride + at.vector * 16;
    for (; tiles > 0; --tiles) {
      FloatGroup<R, V> sums;
      ForTile<R, V>([&](int r, int v) { sums.dot[r][v] = Zero(); });
      sums.x = x;
      sums.x_stride = b.x_stride;
      sums.w = stream.codes;
      sums.panel_bytes = l.panel_bytes;
      sums.first_half = at.half();
      if (at.step == l.groups) {
        AddOutliers(sums, l.k8);
      } else {
        AddGroup(sums, at.step * l.group % 4, l.group);
      }
      Promote<R, V>([&](int r, int v) { return sums.dot[r][v]; },
                    [&](int, int v) { return WeightScale(b, stream, v); }, at.step == 0, acc,
                    b.acc_stride);
      x += R * b.x_stride;
      acc += R * b.acc_stride;
    }
  }

  /// `skipped` (0 or 2) inputs of the first line belong to the group before.
  template <int R, int V>
  static inline void AddGroup(FloatGroup<R, V>& sums, int64_t skipped, int64_t left) {
    if (skipped == 2) {
      sums.template AddNibble<2>();
      sums.template AddNibble<3>();
      sums.w += kLineBytes;
      left -= 2;
    }
    for (; left >= 4; left -= 4) {
      sums.template AddNibble<0>();
      sums.template AddNibble<1>();
      sums.template AddNibble<2>();
      sums.template AddNibble<3>();
      sums.w += kLineBytes;
    }
    if (left == 2) {  // G is even
      sums.template AddNibble<0>();
      sums.template AddNibble<1>();
    }
  }
  template <int R, int V>
  static inline void AddOutliers(FloatGroup<R, V>& sums, int64_t left) {
    for (; left >= 4; left -= 4) {
      sums.template AddByte<0>();
      sums.template AddByte<1>();
      sums.template AddByte<2>();
      sums.template AddByte<3>();
      sums.w += kPanelVectors * kLineBytes;
    }
    if (left > 0) sums.template AddByte<0>();
    if (left > 1) sums.template AddByte<1>();
    if (left > 2) sums.template AddByte<2>();
  }
};

inline int64_t Steps(const PackedLayout& l) { return l.groups + (l.k8 > 0 ? 1 : 0); }

void MultiplyInteger(const PackedBlock& block) {
  RunTiles<IntegerTile, kIntegerRows>(block, Steps(*block.layout));
}

void MultiplyFloat(const PackedBlock& block) {
  RunTiles<FloatTile, kFloatRows>(block, Steps(*block.layout));
}

/// Σ of 4 * dwords signed bytes.
inline int32_t SumCodes(const int8_t* x, int64_t dwords) {
  static constexpr int8_t kOnes[4] = {1, 1, 1, 1};
  I32x16 sum = SetInt(0);
  int64_t i = 0;
  for (; i + 16 <= dwords; i += 16) {
    const I32x16 bytes = LoadBytes(reinterpret_cast<const uint8_t*>(x) + 4 * i);
    sum = DotBytes(sum, SetFourBytes(kOnes), bytes);
  }
  int32_t total = SumIntLanes(sum);
  for (i *= 4; i < 4 * dwords; ++i) total += x[i];
  return total;
}

inline int32_t WrappingProduct(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}

void StartSums(const PackedLayout& l, const int8_t* codes, int64_t outlier_offset, int32_t* sums) {
  for (int64_t g = 0; g < l.groups; ++g) {
    const int32_t sum = SumCodes(codes + g * l.group / 4 * 4, l.group_dwords);
    *sums++ = WrappingProduct(-8, sum);
    *sums++ = WrappingProduct(-136, sum);
  }
  *sums = WrappingProduct(-128, SumCodes(codes + outlier_offset, l.outlier_dwords));
}

}  // namespace
}  // namespace atom::kernels::cpu
