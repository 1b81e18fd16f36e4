// The arithmetic that all quantizers share, as branchless inline functions: loops over them
// vectorize on plain x86-64. All of it is exact or rounds half to even.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace atom::quant {

/// Rounds |x| <= 2^22 to the nearest integer, ties to even: adding 1.5·2^23 leaves no room for
/// fraction bits. Clamping to integer ends before or after rounding gives the same.
inline float RoundHalfEven(float x) {
  constexpr float kNoFraction = 0x1.8p23f;
  return (x + kNoFraction) - kNoFraction;
}

/// x, or 0 for a NaN.
inline float NanToZero(float x) { return x == x ? x : 0.0f; }

inline float Clamp(float x, float low, float high) {
  const float raised = x < low ? low : x;
  return raised > high ? high : raised;
}

/// The bits of |x|, 0 for a NaN. As integers they are ordered as the magnitudes are, and the
/// largest of integers is found in any order: compilers vectorize that search, not one of floats.
inline int32_t MagnitudeBits(float x) {
  constexpr int32_t kInfinityBits = 0x7f800000;
  const int32_t bits = std::bit_cast<int32_t>(x) & 0x7fffffff;
  return bits > kInfinityBits ? 0 : bits;
}

}  // namespace atom::quant
