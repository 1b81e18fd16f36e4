#include "atom/quant/hadamard.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "atom/core/rng.h"

namespace atom::quant {
namespace {

std::vector<float> RandomValues(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.Normal());
  return values;
}

/// Element (i, j) of Sylvester's matrix is -1 to the number of ones that i and j share.
double Sign(size_t i, size_t j) { return std::popcount(i & j) % 2 == 0 ? 1.0 : -1.0; }

TEST(HadamardTest, IsSylvestersMatrixInEveryBlock) {
  for (const size_t width : {1, 2, 4, 8, 32, 128}) {
    const size_t blocks = 3;
    const std::vector<float> x = RandomValues(width * blocks, width);
    std::vector<float> rotated = x;
    RotateBlocks(static_cast<int64_t>(width), rotated);
    // log2(width) additions and one product, each within half a unit in the last place.
    const double roundings = std::log2(static_cast<double>(width)) + 2.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t first = i / width * width;
      double sum = 0.0;
      double magnitude = 0.0;
      for (size_t j = 0; j < width; ++j) {
        sum += Sign(i - first, j) * double{x[first + j]};
        magnitude += std::abs(double{x[first + j]});
      }
      const double root = std::sqrt(static_cast<double>(width));
      EXPECT_NEAR(double{rotated[i]}, sum / root, roundings * 0x1p-24 * magnitude / root);
    }
  }
}

/// Integers in blocks of 4^n: every operation is exact, so that twice is nothing.
TEST(HadamardTest, IsItsOwnInverse) {
  Rng rng(5);
  std::vector<float> x(64 * 5);
  for (float& value : x) value = static_cast<float>(rng.Below(2001)) - 1000.0f;
  std::vector<float> rotated = x;
  RotateBlocks(64, rotated);
  EXPECT_NE(rotated, x);
  RotateBlocks(64, rotated);
  EXPECT_EQ(rotated, x);
}

TEST(HadamardTest, WidthZeroLeavesValuesAlone) {
  const std::vector<float> x = RandomValues(7, 1);
  std::vector<float> rotated = x;
  RotateBlocks(0, rotated);
  EXPECT_EQ(rotated, x);
}

/// x · Wᵀ with both rotated; integers, so exactly. The columns behind stay as they are.
TEST(HadamardTest, AProductStaysWhatItIs) {
  constexpr size_t kRows = 3;
  constexpr size_t kColumns = 37;  // 32 rotated in blocks of 16, 5 left alone
  Rng rng(6);
  std::vector<float> x(kColumns);
  std::vector<float> w(kRows * kColumns);
  for (float& value : x) value = static_cast<float>(rng.Below(201)) - 100.0f;
  for (float& value : w) value = static_cast<float>(rng.Below(201)) - 100.0f;
  const auto product = [&] {
    std::vector<float> y(kRows);
    for (size_t n = 0; n < kRows; ++n) {
      for (size_t k = 0; k < kColumns; ++k) y[n] += x[k] * w[n * kColumns + k];
    }
    return y;
  };
  const std::vector<float> expected = product();
  const float last = w.back();
  RotateColumns(16, 32, kRows, w);
  RotateBlocks(16, std::span(x).first(32));
  EXPECT_EQ(product(), expected);
  EXPECT_EQ(w.back(), last);
}

TEST(HadamardTest, PowersOfTwo) {
  for (const int64_t width : {1, 2, 4, 64, 1024}) EXPECT_TRUE(IsPowerOfTwo(width)) << width;
  for (const int64_t width : {0, -4, 3, 48, 96, 1000}) EXPECT_FALSE(IsPowerOfTwo(width)) << width;
}

}  // namespace
}  // namespace atom::quant
