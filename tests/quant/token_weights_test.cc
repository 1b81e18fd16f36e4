#include "atom/quant/token_weights.h"

#include <cmath>
#include <gtest/gtest.h>

#include "atom/core/rng.h"

namespace atom::quant {
namespace {

TEST(TokenWeightsTest, EnergiesAndTheLowerMedian) {
  Rng rng(1);
  for (const int64_t rows : {1, 2, 7, 10}) {
    for (const int64_t k : {1, 13}) {
      std::vector<float> x(static_cast<size_t>(rows * k));
      for (float& value : x) value = static_cast<float>(rng.Normal());
      const TokenEnergies energies = MeasureTokens(x, rows, k);
      std::vector<double> expected;
      for (int64_t row = 0; row < rows; ++row) {
        double sum = 0.0;
        for (int64_t j = 0; j < k; ++j) sum += std::pow(x[static_cast<size_t>(row * k + j)], 2);
        expected.push_back(sum);
        EXPECT_NEAR(energies.of[static_cast<size_t>(row)], sum, 1e-6 * sum);
      }
      std::sort(expected.begin(), expected.end());
      EXPECT_NEAR(energies.median, expected[static_cast<size_t>((rows - 1) / 2)], 1e-6);
    }
  }
  EXPECT_TRUE(MeasureTokens({}, 0, 5).of.empty());
}

TEST(TokenWeightsTest, WhatIsNotANumberCountsAsNothing) {
  const std::vector<float> x = {NAN, 2.0f, 1.0f, 1.0f};
  const TokenEnergies energies = MeasureTokens(x, 2, 2);
  EXPECT_EQ(energies.of[0], 4.0);
  EXPECT_EQ(energies.median, 2.0);
}

TEST(TokenWeightsTest, OnlyWhatExceedsTheCapWeighsLess) {
  EXPECT_EQ(TokenWeight(30.0, 1.0, 30.0), 1.0);
  EXPECT_EQ(TokenWeight(60.0, 1.0, 30.0), 0.5);
  EXPECT_EQ(TokenWeight(0.0, 0.0, 30.0), 1.0);
  EXPECT_EQ(TokenWeight(5.0, 0.0, 30.0), 0.0);  // most tokens are nothing
}

}  // namespace
}  // namespace atom::quant
