#include "atom/quant/fp4.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>

namespace atom::quant {
namespace {

constexpr std::array<float, 8> kPublished = {0, 0.0625f, 2, 3, 4, 6, 8, 12};
constexpr std::array<float, 8> kE2M1 = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

TEST(Fp4Test, PublishedTakesTheNearestPointAndTheLowerOfTwo) {
  for (int i = -12 * 512; i <= 12 * 512; ++i) {  // multiples of 2^-9 hit every half-way value
    const float x = static_cast<float>(i) / 512.0f;
    float best = 0.0f;
    for (const float point : kPublished) {
      if (std::fabs(std::fabs(x) - point) < std::fabs(std::fabs(x) - best)) best = point;
    }
    ASSERT_EQ(NearestFp4Published(x), std::copysign(best, x)) << x;
  }
}

TEST(Fp4Test, PublishedThresholdsAreThoseOfTheProgram) {
  // On |x| / amax, as printed in the program; values just beside them.
  constexpr std::array<double, 7> kThresholds = {0.00260417, 0.0859375, 0.20833333, 0.29166667,
                                                 0.4166667,  0.583333,  0.8333333};
  for (size_t i = 0; i < kThresholds.size(); ++i) {
    EXPECT_EQ(NearestFp4Published(static_cast<float>(12 * kThresholds[i] * (1 - 1e-5))),
              kPublished[i]);
    EXPECT_EQ(NearestFp4Published(static_cast<float>(12 * kThresholds[i] * (1 + 1e-5))),
              kPublished[i + 1]);
  }
}

TEST(Fp4Test, E2M1TakesTheNearestPointAndTheEvenOfTwo) {
  for (int i = -6 * 512; i <= 6 * 512; ++i) {
    const float x = static_cast<float>(i) / 512.0f;
    size_t best = 0;
    for (size_t p = 1; p < kE2M1.size(); ++p) {
      const float now = std::fabs(std::fabs(x) - kE2M1[p]);
      const float before = std::fabs(std::fabs(x) - kE2M1[best]);
      if (now < before || (now == before && p % 2 == 0)) best = p;  // even code, even mantissa
    }
    ASSERT_EQ(NearestE2M1(x), std::copysign(kE2M1[best], x)) << x;
  }
}

TEST(Fp4Test, PointsStayWhereTheyAre) {
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(NearestFp4Published(-kPublished[i]), -kPublished[i]);
    EXPECT_EQ(NearestE2M1(-kE2M1[i]), -kE2M1[i]);
  }
}

}  // namespace
}  // namespace atom::quant
