// Packed weights times fp32 values: W4A16, and fake-quantized activations (simulated). A nibble or
// byte becomes a float in the register; each group has a sum of its own, but for the simulation of
// two-level scales, whose sum of integers runs over all of K4.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// fp32 chains, as in docs/numerics.md for W4A16.
struct FloatSums {
  using Vector = F32x16;
  static constexpr bool kMultiplies = false;
  static inline Vector None() { return Zero(); }
  static inline Vector Value(float x) { return Set(x); }
  static inline Vector Weight(F32x16 w) { return w; }
  static inline Vector MulAdd(Vector x, Vector w, Vector sum) { return Fma(x, w, sum); }
  static inline F32x16 Promote(Vector dot, F32x16 scale, F32x16 acc) {
    return Fma(dot, scale, acc);
  }
};

/// Exact sums in double, for fake-quantized values.
struct DoubleSums {
  using Vector = F64x16;
  static constexpr bool kMultiplies = false;
  static inline Vector None() { return WidenDouble(Zero()); }
  static inline Vector Value(float x) { return WidenDouble(Set(x)); }
  static inline Vector Weight(F32x16 w) { return WidenDouble(w); }
  static inline Vector MulAdd(Vector x, Vector w, Vector sum) {
    return AddDouble(MulDouble(x, w), sum);
  }
  static inline F32x16 Promote(Vector dot, F32x16 scale, F32x16 acc) {
    return NarrowDouble(AddDouble(WidenDouble(acc), MulDouble(dot, WidenDouble(scale))));
  }
};

/// The same with two-level scales: values are the row's scale times an integer.
struct MultipliedSums : DoubleSums {
  static constexpr bool kMultiplies = true;
};

/// The sums of one tile in one step, and where it reads.
template <class Sums, int R, int V>
struct StepSums {
  typename Sums::Vector dot[R][V];
  F32x16 multiplier[V];  ///< of the weights, where they are multiplied one by one
  const float* x;
  int64_t x_stride;
  const uint8_t* w;
  int64_t panel_bytes;
  int64_t first_half;

  /// Input j of the line at w, for 4-bit codes.
  template <int J>
  inline void AddNibble() {
    typename Sums::Vector weight[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const I32x16 line = LoadBytes(w + v / kPanelVectors * panel_bytes);
      const bool high = V > 1 ? v % kPanelVectors == 1 : first_half == 1;
      const F32x16 code = high ? NibbleValue<8 * J + 4>(line) : NibbleValue<8 * J>(line);
      weight[v] = Sums::Weight(Sums::kMultiplies ? Mul(code, multiplier[v]) : code);
    }
    AddProducts(weight);
  }
  /// Input j of the pair of lines at w, for 8-bit codes.
  template <int J>
  inline void AddByte() {
    typename Sums::Vector weight[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const I32x16 line = LoadBytes(w + v / kPanelVectors * panel_bytes +
                                    (first_half + v) % kPanelVectors * kLineBytes);
      weight[v] = Sums::Weight(ByteValue<8 * J>(line));
    }
    AddProducts(weight);
  }
  inline void AddProducts(const typename Sums::Vector (&weight)[V]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const typename Sums::Vector value = Sums::Value(x[r * x_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) dot[r][v] = Sums::MulAdd(value, weight[v], dot[r][v]);
    }
    ++x;
  }
};

template <class Sums>
struct ValueTile {
  static inline void Finish(const PackedBlock& b, int64_t vector, int64_t count) {
    WriteColumn(b, vector, count);
  }

  template <int R, int V>
  static inline void Run(const PackedBlock& b, TilePlace at, int64_t tiles) {
    const PackedLayout& l = *b.layout;
    const StepStream stream = FindStep(b, at);
    const float* x = b.x + at.row * b.x_stride + at.step * l.group;  // groups · G = K4
    float* acc = b.acc + at.row * kColumnOutputs;
    for (; tiles > 0; --tiles) {
      StepSums<Sums, R, V> sums;
      ForTile<R, V>([&](int r, int v) { sums.dot[r][v] = Sums::None(); });
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
      UpdateAcc<R, V>(at.step == 0, acc, [&](int r, int v, F32x16 so_far) {
        return Sums::Promote(sums.dot[r][v], WeightScale(b, at, stream, v), so_far);
      });
      x += R * b.x_stride;
      acc += R * kColumnOutputs;
    }
  }

  /// `skipped` (0 or 2) inputs of the first line belong to the group before.
  template <int R, int V>
  static inline void AddGroup(StepSums<Sums, R, V>& sums, int64_t skipped, int64_t left) {
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
  static inline void AddOutliers(StepSums<Sums, R, V>& sums, int64_t left) {
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

/// Two steps: all groups in one sum, then the outliers.
struct TwoLevelValueTile : ValueTile<MultipliedSums> {
  template <int R, int V>
  static inline void Run(const PackedBlock& b, TilePlace at, int64_t tiles) {
    const PackedLayout& l = *b.layout;
    if (at.step == 1) {
      return ValueTile<MultipliedSums>::Run<R, V>(b, {at.row, at.vector, l.groups}, tiles);
    }
    const float* x = b.x + at.row * b.x_stride;
    const float* row_scale = b.scales + at.row * b.scales_stride;
    float* acc = b.acc + at.row * kColumnOutputs;
    for (; tiles > 0; --tiles) {
      StepSums<MultipliedSums, R, V> sums;
      ForTile<R, V>([&](int r, int v) { sums.dot[r][v] = MultipliedSums::None(); });
      sums.x = x;
      sums.x_stride = b.x_stride;
      sums.panel_bytes = l.panel_bytes;
      sums.first_half = at.half();
      for (at.step = 0; at.step < l.groups; ++at.step) {
        sums.w = FindStep(b, at).codes;
        for (int v = 0; v < V; ++v) sums.multiplier[v] = ToFloat(Multiplier(b, at, v));
        AddGroup(sums, at.step * l.group % 4, l.group);
      }
      UpdateAcc<R, V>(true, acc, [&](int r, int v, F32x16 so_far) {
        const float scale = row_scale[r * b.scales_stride];
        const F32x16 integers = NarrowDouble(DivDouble(sums.dot[r][v], WidenDouble(Set(scale))));
        return Fma(integers, Mul(Set(scale), RowScale(b, at, v)), so_far);
      });
      x += R * b.x_stride;
      row_scale += R * b.scales_stride;
      acc += R * kColumnOutputs;
    }
  }
};

void MultiplyFloat(const PackedBlock& block) {
  RunTilesByRows<ValueTile<FloatSums>, kFloatRows, kVectors>(block, Steps(*block.layout));
}

void MultiplySimulated(const PackedBlock& block) {
  if (block.layout->two_level) {
    const int64_t steps = block.layout->k8 > 0 ? 2 : 1;
    return RunTiles<TwoLevelValueTile, kDoubleRows, kVectors>(block, steps);
  }
  RunTiles<ValueTile<DoubleSums>, kDoubleRows, kVectors>(block, Steps(*block.layout));
}

}  // namespace
}  // namespace atom::kernels::cpu
