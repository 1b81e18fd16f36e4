#include "atom/quant/fp8.h"

#include "atom/quant/rounding.h"

namespace atom::quant {
namespace {

constexpr uint16_t kSign = 0x8000;
constexpr uint16_t kMagnitude = 0x7fff;
constexpr uint16_t kInfinity = 0x7c00;
constexpr uint16_t k480 = 0x5f80;             // 1.875 · 2^8
constexpr uint16_t kSmallestNormal = 0x2400;  // 2^-6

/// Drops the lowest `count` bits of a magnitude, half-way up; a carry moves into the exponent.
uint16_t DropBits(uint16_t magnitude, int count) {
  const int half = 1 << (count - 1);
  return static_cast<uint16_t>(((magnitude + half) >> count) << count);
}

}  // namespace

Half RoundToE5M2(Half x) {
  const uint16_t magnitude = x.bits & kMagnitude;
  if (magnitude > kInfinity) return x;
  return Half{static_cast<uint16_t>((x.bits & kSign) | DropBits(magnitude, 8))};
}

Half RoundToE4M3(Half x) {
  const uint16_t sign = x.bits & kSign;
  uint16_t magnitude = x.bits & kMagnitude;
  if (magnitude > kInfinity) return x;
  magnitude = std::min(magnitude, k480);
  if (magnitude >= kSmallestNormal)
    return Half{static_cast<uint16_t>(sign | DropBits(magnitude, 7))};
  const float steps = RoundHalfEven(ToFloat(Half{magnitude}) * 0x1p9f);
  return Half{static_cast<uint16_t>(sign | ToHalf(steps * 0x1p-9f).bits)};
}

}  // namespace atom::quant
