// fp16 and bf16 conversions against the definition of the formats, worked out in double.
#include "atom/core/half.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "atom/core/rng.h"

namespace atom {
namespace {

// IEEE 754 by the book: sign, 5 bits of exponent with bias 15, 10 bits of fraction.
double HalfValue(uint16_t bits) {
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  if (exponent == 31) {
    return fraction == 0 ? sign * INFINITY : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// Round to nearest, ties to even, by looking for the neighbours among all non-negative halves.
uint16_t NearestHalf(float f) {
  static const std::vector<double> kValues = [] {
    std::vector<double> values;
    for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
      values.push_back(HalfValue(static_cast<uint16_t>(bits)));
    }
    values.push_back(65536.0);  // what the next value would be: halfway to it begins infinity
    return values;
  }();
  const uint16_t sign = std::signbit(f) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(f));
  if (magnitude >= kValues.back()) return sign | 0x7c00;
  const auto above = std::upper_bound(kValues.begin(), kValues.end(), magnitude);
  const auto low = static_cast<uint16_t>(above - kValues.begin() - 1);
  const double to_low = magnitude - kValues[low];
  const double to_high = kValues[low + 1u] - magnitude;
  const bool up = to_high < to_low || (to_high == to_low && low % 2 == 1);
  return static_cast<uint16_t>(sign | (low + (up ? 1 : 0)));
}

TEST(HalfTest, AllHalvesWidenExactlyAndComeBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const double expected = HalfValue(half.bits);
    const float widened = ToFloat(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(widened)) << bits;
      ASSERT_TRUE(std::isnan(ToFloat(ToHalf(widened)))) << bits;
      continue;
    }
    ASSERT_EQ(widened, expected) << bits;
    ASSERT_EQ(std::signbit(widened), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(ToHalf(widened), half) << bits;
  }
}

TEST(HalfTest, MidpointsAndTheirNeighboursRoundToEven) {
  for (uint16_t bits = 0; bits < 0x7c00; ++bits) {
    const double next = bits + 1 == 0x7c00 ? 65536.0 : HalfValue(static_cast<uint16_t>(bits + 1));
    const auto middle = static_cast<float>((HalfValue(bits) + next) / 2);
    for (const float f : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
      ASSERT_EQ(ToHalf(f).bits, NearestHalf(f)) << f;
      ASSERT_EQ(ToHalf(-f).bits, NearestHalf(-f)) << -f;
    }
  }
}

TEST(HalfTest, RandomFloatsRoundToTheNearest) {
  Rng rng(1);
  for (int i = 0; i < 300000; ++i) {
    const auto f = std::bit_cast<float>(static_cast<uint32_t>(rng.Next()));
    if (std::isnan(f)) continue;
    ASSERT_EQ(ToHalf(f).bits, NearestHalf(f)) << f;
    const auto near_one = static_cast<float>(rng.Normal() * 4.0);
    ASSERT_EQ(ToHalf(near_one).bits, NearestHalf(near_one)) << near_one;
  }
}

TEST(HalfTest, Limits) {
  EXPECT_EQ(ToHalf(kHalfMax).bits, 0x7bff);
  EXPECT_EQ(ToHalf(65519.996f).bits, 0x7bff);
  EXPECT_EQ(ToHalf(65520.0f).bits, 0x7c00);
  EXPECT_EQ(ToHalf(-INFINITY).bits, 0xfc00);
  EXPECT_EQ(ToHalf(kHalfMin).bits, 1);
  EXPECT_EQ(ToHalf(kHalfMin / 2).bits, 0);  // a tie with zero, which is even
  EXPECT_EQ(ToHalf(-0.0f).bits, 0x8000);
  EXPECT_TRUE(std::isnan(ToFloat(ToHalf(std::nanf("")))));
}

TEST(BFloat16Test, AllWidenAndComeBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const BFloat16 b{static_cast<uint16_t>(bits)};
    const float widened = ToFloat(b);
    ASSERT_EQ(std::bit_cast<uint32_t>(widened), bits << 16);
    if (std::isnan(widened)) {
      ASSERT_TRUE(std::isnan(ToFloat(ToBFloat16(widened))));
    } else {
      ASSERT_EQ(ToBFloat16(widened), b);
    }
  }
}

TEST(BFloat16Test, RandomFloatsRoundToTheNearestEven) {
  Rng rng(2);
  for (int i = 0; i < 300000; ++i) {
    const auto bits = static_cast<uint32_t>(rng.Next());
    const auto f = std::bit_cast<float>(bits);
    if (!std::isfinite(f)) continue;
    // The two candidates, in double; beyond the largest the next would be 2^128.
    const uint32_t low = bits & 0xffff0000u;
    const double down = static_cast<double>(std::bit_cast<float>(low));
    const auto next = std::bit_cast<float>(low + 0x10000u);
    const double up =
        std::isfinite(next) ? static_cast<double>(next) : std::copysign(std::ldexp(1.0, 128), f);
    const double to_down = std::fabs(f - down);
    const double to_up = std::fabs(up - f);
    const bool odd = ((low >> 16) & 1u) != 0;
    const uint32_t expected = to_up < to_down || (to_up == to_down && odd) ? low + 0x10000u : low;
    ASSERT_EQ(ToBFloat16(f).bits, expected >> 16) << f;
  }
}

}  // namespace
}  // namespace atom
