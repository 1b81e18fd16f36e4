// What happens to one row between two linears: norm, rotation, quantization. All of
// it exact in the order that docs/numerics.md, section 2 and 4, gives.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

inline int64_t LanesFrom(int64_t i, int64_t n) { return n - i < 16 ? n - i : 16; }

/// Calls each(i, lanes) for i = 0, 16, … below n. Of whole vectors the compiler sees that they are,
/// so that nothing is masked.
template <class Each>
[[gnu::always_inline]] inline void ForLanes(int64_t n, const Each& each) {
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) each(i, int64_t{16});
  if (i < n) each(i, n - i);
}

float SumSquares(const float* x, int64_t n) {
  F32x16 sum = Zero();
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    const F32x16 value = LoadFirst(x + i, lanes);
    sum = Fma(value, value, sum);
  });
  return SumLanes(sum);
}

float SumOfRow(const float* x, int64_t n) {
  F32x16 sum = Zero();
  ForLanes(n, [&](int64_t i, int64_t lanes) { sum = Add(sum, LoadFirst(x + i, lanes)); });
  return SumLanes(sum);
}

void SubtractFromRow(const float* x, float value, int64_t n, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    StoreFirst(out + i, Sub(LoadFirst(x + i, lanes), Set(value)), lanes);
  });
}

void MultiplyRow(const float* x, float factor, int64_t n, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    StoreFirst(out + i, Mul(LoadFirst(x + i, lanes), Set(factor)), lanes);
  });
}

void AddRows(const float* x, const float* y, int64_t n, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    StoreFirst(out + i, Add(LoadFirst(x + i, lanes), LoadFirst(y + i, lanes)), lanes);
  });
}

void CombineRows(const float* x, int64_t stride, const float* factors, int64_t count, int64_t n,
                 bool add, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    F32x16 sum = Zero();
    for (int64_t j = 0; j < count; ++j) {
      sum = Fma(Set(factors[j]), LoadFirst(x + j * stride + i, lanes), sum);
    }
    if (add) sum = Add(LoadFirst(out + i, lanes), sum);
    StoreFirst(out + i, sum, lanes);
  });
}

void ScaleByWeight(const float* x, float r, const float* weight, int64_t n, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    const F32x16 scaled = Mul(LoadFirst(x + i, lanes), Set(r));
    StoreFirst(out + i, Mul(scaled, LoadFirst(weight + i, lanes)), lanes);
  });
}

/// A NaN in x is passed over: Max gives its second operand.
float AbsMax(const float* x, int64_t n) {
  F32x16 largest[4] = {Zero(), Zero(), Zero(), Zero()};  // chains, which do not wait for each other
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) largest[v] = Max(Abs(Load(x + i + v * 16)), largest[v]);
  }
  ForLanes(n - i, [&](int64_t j, int64_t lanes) {
    largest[0] = Max(Abs(LoadFirst(x + i + j, lanes)), largest[0]);
  });
  return MaxLane(Max(Max(largest[0], largest[1]), Max(largest[2], largest[3])));
}

void Quantize(const float* x, int64_t n, float inv, float low, float high, int8_t* codes) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    const F32x16 value = NanToZero(Mul(LoadFirst(x + i, lanes), Set(inv)));
    const I32x16 code = RoundToInt(Min(Max(value, Set(low)), Set(high)));
    if (lanes == 16) return StoreLowBytes(codes + i, code);
    int8_t last[16];
    StoreLowBytes(last, code);
    __builtin_memcpy(codes + i, last, static_cast<uint64_t>(lanes));
  });
}

/// min(max(max |x|, 1e-5) · clip / high, 2^-24), 65504) of each group.
float GroupSteps(const float* x, int64_t groups, int64_t group, float clip, float high,
                 float* steps) {
  constexpr float kLeast = 0x1p-24f;
  constexpr float kMost = 65504.0f;
  for (int64_t g = 0; g < groups; ++g) steps[g] = AbsMax(x + g * group, group);
  F32x16 largest = Set(kLeast);
  ForLanes(groups, [&](int64_t i, int64_t lanes) {
    const F32x16 widest = Mul(Max(LoadFirst(steps + i, lanes), Set(1e-5f)), Set(clip));
    const F32x16 step = Min(Max(Div(widest, Set(high)), Set(kLeast)), Set(kMost));
    Store(steps + i, step);
    largest = Max(largest, KeepFirst(step, lanes, largest));
  });
  return MaxLane(largest);
}

void QuantizeTwoLevel(const float* x, int64_t groups, int64_t group, float row_scale, float high,
                      const float* steps, uint8_t* multipliers, int8_t* codes) {
  for (int64_t first = 0; first < groups; first += 16) {
    const F32x16 ratio = Div(Load(steps + first), Set(row_scale));
    const I32x16 k = RoundToInt(Min(Max(ratio, Set(1.0f)), Set(15.0f)));
    StoreLowBytes(multipliers + first, k);
    float inv[16];
    Store(inv, Div(Set(1.0f), Mul(Set(row_scale), ToFloat(k))));
    const int64_t end = first + LanesFrom(first, groups);
    for (int64_t g = first; g < end; ++g) {
      const I32x16 multiplier = SetInt(multipliers[g]);
      int8_t* out = codes + g * group;
      ForLanes(group, [&](int64_t i, int64_t lanes) {
        const F32x16 scaled = Mul(LoadFirst(x + g * group + i, lanes), Set(inv[g - first]));
        const F32x16 value = Min(Max(NanToZero(scaled), Set(-high - 1.0f)), Set(high));
        const I32x16 code = MulWords(RoundToInt(value), multiplier);  // as far as the low byte
        if (lanes == 16) return StoreLowBytes(out + i, code);
        int8_t last[16];
        StoreLowBytes(last, code);
        __builtin_memcpy(out + i, last, static_cast<uint64_t>(lanes));
      });
    }
  }
}

void Range(const float* x, int64_t n, float* low, float* high) {
  F32x16 lowest = Set(__builtin_inff());
  F32x16 highest = Set(-__builtin_inff());
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    const F32x16 value = NanToZero(LoadFirst(x + i, lanes));
    lowest = Min(lowest, KeepFirst(value, lanes, lowest));
    highest = Max(highest, KeepFirst(value, lanes, highest));
  });
  *low = -MaxLane(Sub(Zero(), lowest));
  *high = MaxLane(highest);
}

void QuantizeKv(const float* x, int64_t n, const KvCodeGrid& grid, uint8_t* codes) {
  const F32x16 lowest = Set(-grid.zero);
  const F32x16 highest = Set(grid.high - grid.zero);
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    const F32x16 from_base = Sub(LoadFirst(x + i, lanes), Set(grid.base));
    const F32x16 value = NanToZero(Mul(from_base, Set(grid.inv)));
    const I32x16 rounded = RoundToInt(Add(Min(Max(value, lowest), highest), Zero()));
    const I32x16 code = AddInt(rounded, SetInt(static_cast<int32_t>(grid.zero)));
    if (lanes == 16) return StoreLowBytes(codes + i, code);
    uint8_t last[16];
    StoreLowBytes(last, code);
    __builtin_memcpy(codes + i, last, static_cast<uint64_t>(lanes));
  });
}

void Rotate(float* x, const float* cos, const float* sin, int64_t half) {
  ForLanes(half, [&](int64_t i, int64_t lanes) {
    const F32x16 a = LoadFirst(x + i, lanes);
    const F32x16 b = LoadFirst(x + half + i, lanes);
    const F32x16 c = LoadFirst(cos + i, lanes);
    const F32x16 s = LoadFirst(sin + i, lanes);
    StoreFirst(x + i, Sub(Mul(a, c), Mul(b, s)), lanes);
    StoreFirst(x + half + i, Add(Mul(b, c), Mul(a, s)), lanes);
  });
}

/// (a, b) -> (a + b, a - b) of lanes kDistance apart, for blocks wider than that.
template <int kDistance>
[[gnu::always_inline]] inline F32x16 Butterfly(F32x16 x, int64_t width) {
  if (width <= kDistance) return x;
  float signs[16];
  for (int i = 0; i < 16; ++i) signs[i] = (i & kDistance) != 0 ? -1.0f : 1.0f;
  return Fma(x, Load(signs), SwapLanes<kDistance>(x));  // the product is exact
}

/// All butterflies inside a vector.
[[gnu::always_inline]] inline F32x16 RotateVector(F32x16 x, int64_t width) {
  return Butterfly<8>(Butterfly<4>(Butterfly<2>(Butterfly<1>(x, width), width), width), width);
}

void RotateBlocks(float* x, int64_t n, int64_t width, float factor) {
  if (width == 32) {  // that of most recipes: in one pass
    for (int64_t i = 0; i < n; i += 32) {
      const F32x16 a = RotateVector(Load(x + i), 32);
      const F32x16 b = RotateVector(Load(x + i + 16), 32);
      Store(x + i, Mul(Add(a, b), Set(factor)));
      Store(x + i + 16, Mul(Sub(a, b), Set(factor)));
    }
    return;
  }
  for (int64_t i = 0; i < n; i += 16) Store(x + i, RotateVector(Load(x + i), width));
  for (int64_t distance = 16; distance < width; distance *= 2) {
    for (int64_t first = 0; first < n; first += 2 * distance) {
      for (int64_t i = first; i < first + distance; i += 16) {
        const F32x16 a = Load(x + i);
        const F32x16 b = Load(x + i + distance);
        Store(x + i, Add(a, b));
        Store(x + i + distance, Sub(a, b));
      }
    }
  }
  MultiplyRow(x, factor, n, x);
}

void DivideRow(const float* x, float sum, int64_t n, float* out) {
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    StoreFirst(out + i, Div(LoadFirst(x + i, lanes), Set(sum)), lanes);
  });
}

float MaxOfRow(const float* x, int64_t n) {
  F32x16 largest = Set(x[0]);
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    largest = Max(largest, KeepFirst(LoadFirst(x + i, lanes), lanes, largest));
  });
  return MaxLane(largest);
}

double SumExp(const float* x, float max, int64_t n) {
  double lane_sums[16] = {};
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    float terms[16];
    Store(terms, KeepFirst(Exp(Sub(LoadFirst(x + i, lanes), Set(max))), lanes, Zero()));
    for (int j = 0; j < 16; ++j) lane_sums[j] += static_cast<double>(terms[j]);
  });
  double sum = 0.0;
  for (const double lane_sum : lane_sums) sum += lane_sum;
  return sum;
}

}  // namespace
}  // namespace atom::kernels::cpu
