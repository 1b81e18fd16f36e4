// The two FP4 codecs: the codebook of the published program and OCP E2M1. Values are in units in
// which the largest code is 12 (published) or 6 (E2M1), so that a scale is amax / 12 or amax / 6.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace atom::quant {

inline constexpr float kFp4PublishedMax = 12.0f;
inline constexpr float kE2M1Max = 6.0f;

/// The nearest of ±{0, 1/16, 2, 3, 4, 6, 8, 12}; a value half-way takes the smaller magnitude.
/// REQUIRES: no NaN. Each comparison adds the step to the next point; all sums are exact.
inline float NearestFp4Published(float x) {
  const float a = std::fabs(x);
  float point = a > 0.03125f ? 0.0625f : 0.0f;
  point += a > 1.03125f ? 1.9375f : 0.0f;
  point += a > 2.5f ? 1.0f : 0.0f;
  point += a > 3.5f ? 1.0f : 0.0f;
  point += a > 5.0f ? 2.0f : 0.0f;
  point += a > 7.0f ? 2.0f : 0.0f;
  point += a > 10.0f ? 4.0f : 0.0f;
  return x < 0.0f ? -point : point;
}

/// The nearest of ±{0, 0.5, 1, 1.5, 2, 3, 4, 6}, ties to the even mantissa. REQUIRES: |x| <= 6.
/// The points are multiples of half the power of two at or below |x|, and of 0.5 below 1; adding
/// 1.5·2^23 such steps leaves no room for less.
inline float NearestE2M1(float x) {
  constexpr int32_t kExponentBits = 0x7f800000;
  constexpr int32_t kOneBits = 0x3f800000;
  const int32_t exponent = std::bit_cast<int32_t>(x) & kExponentBits;
  const float power = std::bit_cast<float>(exponent > kOneBits ? exponent : kOneBits);
  const float no_remainder = power * 0x1.8p22f;
  return (x + no_remainder) - no_remainder;
}

}  // namespace atom::quant
