#include "atom/quant/exponent.h"

#include <cmath>
#include <gtest/gtest.h>

namespace atom::quant {
namespace {

TEST(ExponentTest, LargestMagnitude) {
  EXPECT_EQ(ExponentMax(2), 2.0f);
  EXPECT_EQ(ExponentMax(3), 8.0f);
  EXPECT_EQ(ExponentMax(4), 128.0f);
}

TEST(ExponentTest, FollowsThePublishedFormula) {
  for (int i = 1; i < 4000; ++i) {
    const double x = i / 17.0;
    const double m = std::clamp(x, 1.0, 128.0);
    const double log = std::log2(m);
    double k = std::floor(log);
    if (log - k > std::log2(1.5)) k += 1;
    ASSERT_EQ(NearestPowerOfTwo(static_cast<float>(x), 128.0f), std::exp2(k)) << x;
    ASSERT_EQ(NearestPowerOfTwo(static_cast<float>(-x), 128.0f), -std::exp2(k)) << x;
  }
}

TEST(ExponentTest, Edges) {
  EXPECT_EQ(NearestPowerOfTwo(0.0f, 128.0f), 0.0f);
  EXPECT_EQ(NearestPowerOfTwo(1e-20f, 128.0f), 1.0f);  // snapped up to one unit
  EXPECT_EQ(NearestPowerOfTwo(3.0f, 128.0f), 2.0f);    // half-way stays down
  EXPECT_EQ(NearestPowerOfTwo(std::nextafter(3.0f, 4.0f), 128.0f), 4.0f);
  EXPECT_EQ(NearestPowerOfTwo(1e30f, 8.0f), 8.0f);
  EXPECT_EQ(NearestPowerOfTwo(-HUGE_VALF, 8.0f), -8.0f);
}

}  // namespace
}  // namespace atom::quant
