// The exponent-only codec of the published program: a sign and a power of two.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "atom/quant/rounding.h"

namespace atom::quant {

/// The largest magnitude of b bits, 2^(2^(b-1) - 1): 2, 8, 128 for b = 2, 3, 4.
inline float ExponentMax(int bits) { return std::ldexp(1.0f, (1 << (bits - 1)) - 1); }

/// sign(x) · 2^j with |x| clamped to [1, largest] and rounded to the arithmetically nearest power,
/// half-way down. Zero stays zero; everything else becomes at least one unit, as published.
/// REQUIRES: no NaN; `largest` a power of two.
inline float NearestPowerOfTwo(float x, float largest) {
  constexpr uint32_t kExponentBits = 0x7f800000u;
  constexpr uint32_t kMantissaBits = 0x007fffffu;
  constexpr uint32_t kHalfWay = 0x00400000u;  // mantissa of 1.5
  constexpr uint32_t kExponentOne = 0x00800000u;
  const uint32_t bits = std::bit_cast<uint32_t>(Clamp(std::fabs(x), 1.0f, largest));
  const uint32_t up = (bits & kMantissaBits) > kHalfWay ? kExponentOne : 0u;
  const float power = std::bit_cast<float>((bits & kExponentBits) + up);
  const float magnitude = x == 0.0f ? 0.0f : power;
  return x < 0.0f ? -magnitude : magnitude;
}

}  // namespace atom::quant
