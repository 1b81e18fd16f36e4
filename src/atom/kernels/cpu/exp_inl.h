// exp: one polynomial for every instruction set, bit for bit the same. Relative error below 2^-22;
// exp(-infinity) = 0, a NaN stays one, overflow gives infinity.
#pragma once

namespace atom::kernels::cpu {
namespace {

/// exp(x) = 2^n · exp(r) with n = round(x / ln 2), |r| <= ln 2 / 2. exp(r) = 1 + r + r² · p(r), p
/// fitted to the least maximal relative error (3e-9). 2^n in two factors: n reaches -150 and 128.
inline F32x16 Exp(F32x16 x) {
  constexpr float kLowest = -104.0f;  // exp is below half of the least subnormal
  constexpr float kHighest = 89.0f;   // exp is infinite
  constexpr float kLog2E = 0x1.715476p+0f;
  constexpr float kLn2High = 0x1.62e400p-1f;  // few bits: its product with n is exact
  constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  x = Min(Set(kHighest), Max(Set(kLowest), x));
  const I32x16 n = RoundToInt(Mul(x, Set(kLog2E)));
  const F32x16 whole = ToFloat(n);
  F32x16 r = Fma(whole, Set(-kLn2High), x);
  r = Fma(whole, Set(-kLn2Low), r);
  F32x16 p = Set(0x1.6a2434p-10f);
  p = Fma(p, r, Set(0x1.1239e2p-7f));
  p = Fma(p, r, Set(0x1.5558f2p-5f));
  p = Fma(p, r, Set(0x1.555492p-3f));
  p = Fma(p, r, Set(0x1.fffffcp-2f));
  p = Fma(p, Mul(r, r), r);
  p = Add(p, Set(1.0f));
  const I32x16 half = HalveInt(n);
  return Mul(Mul(p, PowerOfTwo(half)), PowerOfTwo(SubInt(n, half)));
}

}  // namespace
}  // namespace atom::kernels::cpu
