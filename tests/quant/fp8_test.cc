#include "atom/quant/fp8.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace atom::quant {
namespace {

/// Every finite magnitude of a format with `mantissa` stored bits, ascending: multiples of the
/// smallest step below 2^lowest, then normal numbers up to and including `largest`.
std::vector<double> Magnitudes(int mantissa, int lowest, double largest) {
  std::vector<double> values;
  const int steps = 1 << mantissa;
  for (int i = 0; i < steps; ++i) values.push_back(std::ldexp(i, lowest - mantissa));
  for (int exponent = lowest;; ++exponent) {
    for (int i = 0; i < steps; ++i) {
      const double value = std::ldexp(1.0 + static_cast<double>(i) / steps, exponent);
      if (value > largest) return values;
      values.push_back(value);
    }
  }
}

/// The index of the nearest of `values`; exactly half-way the upper, or the even one below
/// `normal`.
size_t Nearest(const std::vector<double>& values, double x, double normal) {
  size_t upper = 0;
  while (upper + 1 < values.size() && values[upper] < x) ++upper;
  if (upper == 0 || values[upper] <= x) return upper;
  const double down = x - values[upper - 1];
  const double up = values[upper] - x;
  if (down != up) return down < up ? upper - 1 : upper;
  if (x >= normal) return upper;
  return upper % 2 == 0 ? upper : upper - 1;
}

TEST(Fp8Test, E5M2OfEveryHalf) {
  // One value above the largest finite one stands for infinity.
  const std::vector<double> values = Magnitudes(2, -14, 65536.0);
  ASSERT_EQ(values.back(), 65536.0);
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const double x = ToFloat(half);
    const float rounded = ToFloat(RoundToE5M2(half));
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(rounded)) << bits;
      continue;
    }
    double expected = values[Nearest(values, std::fabs(x), 0.0)];
    if (expected == 65536.0) expected = std::numeric_limits<double>::infinity();
    ASSERT_EQ(rounded, std::copysign(expected, x)) << "fp16 bits " << bits;
  }
}

TEST(Fp8Test, E4M3OfEveryHalf) {
  const std::vector<double> values = Magnitudes(3, -6, 480.0);
  ASSERT_EQ(values.back(), 480.0);
  ASSERT_EQ(values.size(), 128u);  // all codes of a sign are finite
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    const double x = ToFloat(half);
    const float rounded = ToFloat(RoundToE4M3(half));
    if (std::isnan(x)) {
      EXPECT_TRUE(std::isnan(rounded)) << bits;
      continue;
    }
    const double expected = values[Nearest(values, std::fabs(x), 0x1p-6)];
    ASSERT_EQ(rounded, std::copysign(expected, x)) << "fp16 bits " << bits;
  }
}

TEST(Fp8Test, HandValues) {
  const auto e5m2 = [](float x) { return ToFloat(RoundToE5M2(ToHalf(x))); };
  const auto e4m3 = [](float x) { return ToFloat(RoundToE4M3(ToHalf(x))); };
  EXPECT_EQ(e5m2(1.125f), 1.25f);  // half-way: away from zero
  EXPECT_EQ(e5m2(-1.125f), -1.25f);
  EXPECT_EQ(e5m2(57344.0f), 57344.0f);
  EXPECT_EQ(e5m2(61440.0f), std::numeric_limits<float>::infinity());
  EXPECT_EQ(e4m3(1.0625f), 1.125f);
  EXPECT_EQ(e4m3(1e30f), 480.0f);
  EXPECT_EQ(e4m3(-1e30f), -480.0f);
  EXPECT_EQ(e4m3(0x1p-10f), 0.0f);  // half of the smallest step: to even
  EXPECT_EQ(e4m3(0x3p-10f), 0x1p-8f);
}

}  // namespace
}  // namespace atom::quant
