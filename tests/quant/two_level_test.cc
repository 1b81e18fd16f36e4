// Two-level scales: what is exact must be, and codes and fake-quantized values must be the same.
#include "atom/quant/two_level.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "atom/core/rng.h"
#include "atom/quant/group_quant.h"

namespace atom::quant {
namespace {

constexpr ActivationFormat kFormat{
    .bits = 4, .group = 8, .scales = ScaleFormat::kTwoLevel, .clip = 0.9f};

/// Trailing zeros of the 24-bit significand.
int SignificantBits(float x) {
  int exponent = 0;
  const double fraction = std::frexp(double{x}, &exponent);
  const auto significand = static_cast<uint64_t>(std::ldexp(fraction, 24));
  return 24 - std::countr_zero(significand);
}

TEST(RowScaleTest, IsAFifteenthOfTwelveBitsRoundedToNearest) {
  Rng rng(1);
  for (int i = 0; i < 20000; ++i) {
    const auto step = static_cast<float>(std::exp2(40.0 * rng.Uniform() - 24.0));
    const float scale = RowScale(step);
    EXPECT_LE(SignificantBits(scale), 12);
    EXPECT_TRUE(IsRowScale(scale));
    const double exact = double{step / 15.0f};
    const double unit = std::exp2(std::floor(std::log2(exact)) - 11.0);
    EXPECT_LE(std::abs(double{scale} - exact), unit / 2.0);
  }
  // Ties go to the even neighbour: 1 + 2^-12 down, 1 + 3 · 2^-12 up.
  EXPECT_EQ(RowScale(15.0f * (1.0f + 0x1p-12f)), 1.0f);
  EXPECT_EQ(RowScale(15.0f * (1.0f + 3 * 0x1p-12f)), 1.0f + 0x1p-10f);
  EXPECT_FALSE(IsRowScale(1.0f + 0x1p-12f));
  EXPECT_FALSE(IsRowScale(0.0f));
  EXPECT_FALSE(IsRowScale(-1.0f));
  EXPECT_FALSE(IsRowScale(INFINITY));
  EXPECT_FALSE(IsRowScale(NAN));
}

TEST(RowScaleTest, ProductsWithItAreExactInFp32) {
  Rng rng(2);
  for (int i = 0; i < 2000; ++i) {
    const float a = RowScale(static_cast<float>(std::exp2(20.0 * rng.Uniform() - 15.0)));
    const float b = RowScale(static_cast<float>(std::exp2(20.0 * rng.Uniform() - 15.0)));
    EXPECT_EQ(double{a * b}, double{a} * double{b});
    for (int k = 1; k <= kMaxMultiplier; ++k) {
      for (int code = -8; code <= 7; ++code) {
        const float value = a * static_cast<float>(k) * static_cast<float>(code);
        EXPECT_EQ(double{value}, double{a} * k * code);
      }
    }
  }
}

TEST(MultiplierTest, IsTheNearestOfOneToFifteen) {
  EXPECT_EQ(Multiplier(0.1f, 1.0f), 1);
  EXPECT_EQ(Multiplier(1.4f, 1.0f), 1);
  EXPECT_EQ(Multiplier(2.5f, 1.0f), 2);  // ties to even
  EXPECT_EQ(Multiplier(3.5f, 1.0f), 4);
  EXPECT_EQ(Multiplier(15.0f, 1.0f), 15);
  EXPECT_EQ(Multiplier(1000.0f, 1.0f), 15);
}

std::vector<float> RandomRow(uint64_t seed, size_t groups) {
  Rng rng(seed);
  std::vector<float> row(groups * 8);
  for (size_t g = 0; g < groups; ++g) {
    const double size = std::exp2(-5.0 * rng.Uniform());
    for (size_t i = 0; i < 8; ++i) row[g * 8 + i] = static_cast<float>(size * rng.Normal());
  }
  return row;
}

/// The formulas of docs/numerics.md, spelled again.
TEST(TwoLevelTest, CodesAreThoseOfTheFormulas) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> row = RandomRow(seed, 1 + seed % 7);
    std::vector<int8_t> codes(row.size());
    std::vector<uint8_t> multipliers(row.size() / 8);
    const float token = QuantizeTwoLevel(kFormat, row, codes, multipliers);
    std::vector<float> steps;
    for (size_t g = 0; g < multipliers.size(); ++g) {
      float amax = 0.0f;
      for (size_t i = 0; i < 8; ++i) amax = std::max(amax, std::abs(row[g * 8 + i]));
      steps.push_back(std::max(amax, 1e-5f) * 0.9f / 7.0f);
    }
    EXPECT_EQ(token, RowScale(*std::max_element(steps.begin(), steps.end())));
    EXPECT_EQ(*std::max_element(multipliers.begin(), multipliers.end()), 15);
    for (size_t i = 0; i < row.size(); ++i) {
      const int k = multipliers[i / 8];
      EXPECT_EQ(k, std::clamp(static_cast<int>(std::nearbyint(steps[i / 8] / token)), 1, 15));
      const float inv = 1.0f / (token * static_cast<float>(k));
      EXPECT_EQ(codes[i], std::clamp(static_cast<int>(std::nearbyint(row[i] * inv)), -8, 7));
    }
  }
}

TEST(TwoLevelTest, FakeQuantizedValuesAreTheCodes) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::vector<float> row = RandomRow(seed, 1 + seed % 7);
    std::vector<int8_t> codes(row.size());
    std::vector<uint8_t> multipliers(row.size() / 8);
    const float token = QuantizeTwoLevel(kFormat, row, codes, multipliers);
    FakeQuantizeActivation(kFormat, row);
    for (size_t i = 0; i < row.size(); ++i) {
      EXPECT_EQ(double{row[i]}, double{token} * multipliers[i / 8] * codes[i]);
    }
  }
}

TEST(TwoLevelTest, ZerosNansAndInfinitiesAreThoseOfOneLevel) {
  std::vector<float> row(24, 0.0f);
  row[1] = NAN;
  row[8] = INFINITY;
  row[9] = -INFINITY;
  row[10] = 1.0f;
  std::vector<int8_t> codes(row.size());
  std::vector<uint8_t> multipliers(3);
  const float token = QuantizeTwoLevel(kFormat, row, codes, multipliers);
  EXPECT_EQ(token, RowScale(65504.0f));
  EXPECT_EQ(codes[1], 0);
  EXPECT_EQ(codes[8], 7);
  EXPECT_EQ(codes[9], -8);
  EXPECT_EQ(multipliers, (std::vector<uint8_t>{1, 15, 1}));
  const std::vector<float> zeros(8, 0.0f);
  codes.assign(8, 1);
  QuantizeTwoLevel(kFormat, zeros, codes, multipliers);
  EXPECT_EQ(codes, std::vector<int8_t>(8, 0));
}

/// A group whose step is a small part of the largest loses most: never more than half a step of S,
/// so its error is bounded by that of the fp16 scale and half of the largest's fifteenth.
TEST(TwoLevelTest, TheStepOfEveryGroupIsWithinHalfOfS) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> row = RandomRow(seed, 6);
    std::vector<int8_t> codes(row.size());
    std::vector<uint8_t> multipliers(6);
    const float token = QuantizeTwoLevel(kFormat, row, codes, multipliers);
    for (size_t g = 0; g < 6; ++g) {
      const float step = SymmetricStep(AbsMax(std::span(row).subspan(g * 8, 8)), 0.9f, 4);
      if (step < token / 2.0f) continue;  // k is at least 1
      EXPECT_LE(std::abs(token * static_cast<float>(multipliers[g]) - step), token * 0.501f);
    }
  }
}

TEST(TwoLevelTest, AsymmetricGroupsAreSimulated) {
  ActivationFormat format = kFormat;
  format.symmetric = false;
  format.clip = 1.0f;
  std::vector<float> row(16);
  for (size_t i = 0; i < 16; ++i) row[i] = static_cast<float>(i % 8) * (i < 8 ? 1.0f : 0.2f);
  const float token = TokenScale(format, row);
  EXPECT_EQ(token, RowScale(7.0f / 15.0f));
  std::vector<float> quantized = row;
  FakeQuantizeActivation(format, quantized);
  for (size_t i = 0; i < 16; ++i) {
    const float scale = token * (i < 8 ? 15.0f : 3.0f);
    EXPECT_EQ(quantized[i], scale * std::nearbyint(row[i] / scale)) << i;
  }
}

}  // namespace
}  // namespace atom::quant
