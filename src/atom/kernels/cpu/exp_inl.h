// exp and tanh: one polynomial for every instruction set, bit for bit the same. Relative errors
// below 2^-22; exp(-infinity) = 0, a NaN stays one, overflow gives infinity.
#pragma once

namespace atom::kernels::cpu {
namespace {

/// x = n · ln 2 + r, |r| <= ln 2 / 2, and exp(r) − 1 = r + r² · p(r), p fitted to the least maximal
/// relative error of exp(r) (3e-9).
struct ExpParts {
  I32x16 n;
  F32x16 fraction;  // exp(r) − 1
};
[[gnu::always_inline]] inline ExpParts SplitExp(F32x16 x) {
  constexpr float kLog2E = 0x1.715476p+0f;
  constexpr float kLn2High = 0x1.62e400p-1f;  // few bits: its product with n is exact
  constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  const I32x16 n = RoundToInt(Mul(x, Set(kLog2E)));
  const F32x16 whole = ToFloat(n);
  F32x16 r = Fma(whole, Set(-kLn2High), x);
  r = Fma(whole, Set(-kLn2Low), r);
  F32x16 p = Set(0x1.6a2434p-10f);
  p = Fma(p, r, Set(0x1.1239e2p-7f));
  p = Fma(p, r, Set(0x1.5558f2p-5f));
  p = Fma(p, r, Set(0x1.555492p-3f));
  p = Fma(p, r, Set(0x1.fffffcp-2f));
  return {n, Fma(p, Mul(r, r), r)};
}

/// exp(x) = 2^n · exp(r); 2^n in two factors: n reaches -150 and 128.
[[gnu::always_inline]] inline F32x16 Exp(F32x16 x) {
  constexpr float kLowest = -104.0f;  // exp is below half of the least subnormal
  constexpr float kHighest = 89.0f;   // exp is infinite
  const ExpParts parts = SplitExp(Min(Set(kHighest), Max(Set(kLowest), x)));
  const I32x16 half = HalveInt(parts.n);
  const F32x16 power = Add(parts.fraction, Set(1.0f));
  return Mul(Mul(power, PowerOfTwo(half)), PowerOfTwo(SubInt(parts.n, half)));
}

/// The weight of a score in a softmax, of how far it lies below the largest: exp, 0 below -64. So
/// no weight, and no product of one with a scale, is subnormal, which costs processors a hundred
/// cycles; masked scores have -infinity.
[[gnu::always_inline]] inline F32x16 ExpOfScore(F32x16 x) {
  constexpr float kLowest = -64.0f;
  const ExpParts parts = SplitExp(Max(Set(kLowest), x));
  return ZeroWhereBelow(Mul(Add(parts.fraction, Set(1.0f)), PowerOfTwo(parts.n)), x, kLowest);
}

/// tanh(y) = e / (e + 2), e = exp(2y) − 1 = 2^n · (exp(r) − 1) + (2^n − 1): no digits are lost
/// around 0. A NaN stays one.
inline F32x16 Tanh(F32x16 y) {
  constexpr float kOne = 40.0f;  // tanh of half of it is 1
  const ExpParts parts = SplitExp(Min(Set(kOne), Max(Set(-kOne), Mul(Set(2.0f), y))));
  const F32x16 power = PowerOfTwo(parts.n);
  const F32x16 e = Fma(power, parts.fraction, Sub(power, Set(1.0f)));
  return Div(e, Add(e, Set(2.0f)));
}

}  // namespace
}  // namespace atom::kernels::cpu
