// fp16 and bf16 as storage types, with exact conversions that do not need the compiler's or the
// processor's support (g++ 12 has no __bf16, clang 14 no _Float16 on plain x86-64).
// To-half conversions round to nearest, ties to even; overflow goes to infinity.
#pragma once

#include <bit>
#include <cstdint>

namespace atom {

/// IEEE binary16.
struct Half {
  uint16_t bits = 0;
  friend bool operator==(Half, Half) = default;
};

/// The upper half of an IEEE binary32.
struct BFloat16 {
  uint16_t bits = 0;
  friend bool operator==(BFloat16, BFloat16) = default;
};

inline constexpr float kHalfMax = 65504.0f;
/// Smallest positive fp16 (subnormal): the floor of every stored scale.
inline constexpr float kHalfMin = 5.9604644775390625e-08f;  // 2^-24

inline float ToFloat(Half h) {
  const uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16;
  const uint32_t magnitude = h.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity or NaN
    return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  }
  // Exponents differ by 112; a multiplication by 2^112 also normalizes the subnormals, exactly.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
}

inline Half ToHalf(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return Half{static_cast<uint16_t>(sign | 0x7e00u)};   // NaN
  if (magnitude >= 0x477ff000u) return Half{static_cast<uint16_t>(sign | 0x7c00u)};  // >= 65520
  if (magnitude < 0x38800000u) {  // below 2^-14: subnormal, adding 0.5 aligns the last place
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return Half{static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + odd;
  return Half{static_cast<uint16_t>(sign | (rounded >> 13))};
}

inline float ToFloat(BFloat16 b) {
  return std::bit_cast<float>(static_cast<uint32_t>(b.bits) << 16);
}

inline BFloat16 ToBFloat16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {  // NaN stays NaN
    return BFloat16{static_cast<uint16_t>((bits >> 16) | 0x40u)};
  }
  return BFloat16{static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

inline float ToFloat(float f) { return f; }

}  // namespace atom
