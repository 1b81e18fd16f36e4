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
      std::vector<double> energies;
      std::vector<double> expected;
      for (int64_t row = 0; row < rows; ++row) {
        double sum = 0.0;
        for (int64_t j = 0; j < k; ++j) sum += std::pow(x[static_cast<size_t>(row * k + j)], 2);
        expected.push_back(sum);
        energies.push_back(TokenEnergy(
            std::span(x).subspan(static_cast<size_t>(row * k), static_cast<size_t>(k))));
        EXPECT_NEAR(energies.back(), sum, 1e-6 * sum);
      }
      std::sort(expected.begin(), expected.end());
      EXPECT_NEAR(MedianEnergy(energies), expected[static_cast<size_t>((rows - 1) / 2)], 1e-6);
    }
  }
  EXPECT_EQ(MedianEnergy({}), 0.0);
}

TEST(TokenWeightsTest, WhatIsNotANumberCountsAsNothing) {
  EXPECT_EQ(TokenEnergy(std::vector<float>{NAN, 2.0f}), 4.0);
}

TEST(TokenWeightsTest, OnlyWhatExceedsTheCapWeighsLess) {
  EXPECT_EQ(TokenWeight(30.0, 1.0, 30.0), 1.0);
  EXPECT_EQ(TokenWeight(60.0, 1.0, 30.0), 0.5);
  EXPECT_EQ(TokenWeight(0.0, 0.0, 30.0), 1.0);
  EXPECT_EQ(TokenWeight(5.0, 0.0, 30.0), 0.0);  // most tokens are nothing
}

}  // namespace
}  // namespace atom::quant
