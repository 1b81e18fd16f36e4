#include "atom/quant/rounding.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "atom/core/rng.h"

namespace atom::quant {
namespace {

TEST(RoundingTest, AgreesWithTheProcessor) {
  Rng rng(1);
  for (int i = -4096; i <= 4096; ++i) {
    EXPECT_EQ(RoundHalfEven(static_cast<float>(i) / 8.0f), std::nearbyint(i / 8.0));
  }
  for (int i = 0; i < 100000; ++i) {
    const auto x = static_cast<float>((rng.Uniform() - 0.5) * std::exp2(rng.Uniform() * 22.0));
    ASSERT_EQ(RoundHalfEven(x), std::nearbyint(x)) << x;
  }
  EXPECT_EQ(RoundHalfEven(0x1p22f), 0x1p22f);
  EXPECT_EQ(RoundHalfEven(-0x1p22f), -0x1p22f);
}

TEST(RoundingTest, ClampingFirstIsClampingLast) {
  for (int i = -200; i <= 200; ++i) {
    const float x = static_cast<float>(i) / 16.0f;
    EXPECT_EQ(RoundHalfEven(Clamp(x, -8.0f, 7.0f)), Clamp(RoundHalfEven(x), -8.0f, 7.0f)) << x;
  }
}

TEST(RoundingTest, MagnitudeBitsAreOrdered) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(MagnitudeBits(nan), 0);
  EXPECT_EQ(MagnitudeBits(-nan), 0);
  EXPECT_EQ(MagnitudeBits(-0.0f), 0);
  EXPECT_GT(MagnitudeBits(-inf), MagnitudeBits(1e38f));
  EXPECT_GT(MagnitudeBits(-2.0f), MagnitudeBits(1.0f));
  EXPECT_EQ(NanToZero(nan), 0.0f);
  EXPECT_EQ(NanToZero(-inf), -inf);
}

}  // namespace
}  // namespace atom::quant
