#include "atom/quant/kv_quant.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "atom/core/rng.h"
#include "atom/quant/head_hadamard.h"

namespace atom::quant {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> Normals(size_t count, float shift, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(count);
  for (float& value : x) value = static_cast<float>(rng.Normal()) + shift;
  return x;
}

TEST(KvQuantTest, FloatOffsetsCountFromTheLowerEnd) {
  // Range [2, 5] in 4 bits: scale 0.2 in fp16, code 0 is 2 exactly.
  const std::vector<float> x = {2.0f, 5.0f, 2.2f, 3.5f};
  std::vector<uint8_t> codes(x.size());
  const OffsetScale group = QuantizeWithOffset(x, 1.0f, 4, codes);
  EXPECT_EQ(ToFloat(group.offset), 2.0f);
  EXPECT_EQ(ToFloat(group.scale), ToFloat(ToHalf(0.2f)));
  EXPECT_THAT(codes, ElementsAre(0, 15, 1, 8));  // 7.5 of them: a tie, or just above it
}

TEST(KvQuantTest, ClipShrinksTheRangeAboutItsCentre) {
  const std::vector<float> x = {2.0f, 6.0f, 4.0f};
  std::vector<uint8_t> codes(x.size());
  const OffsetScale group = QuantizeWithOffset(x, 0.5f, 8, codes);
  EXPECT_EQ(ToFloat(group.offset), 3.0f);
  EXPECT_EQ(ToFloat(group.scale), ToFloat(ToHalf(2.0f / 255.0f)));
  EXPECT_EQ(codes[0], 0);
  EXPECT_EQ(codes[1], 255);
  EXPECT_NEAR(group.Value(codes[2]), 4.0f, 2.0f / 255.0f);
}

TEST(KvQuantTest, UnclippedValuesComeBackWithinHalfAStep) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const float shift : {0.0f, 3.0f, -40.0f}) {  // far from 0, too
      const std::vector<float> x = Normals(96, shift, static_cast<uint64_t>(bits));
      std::vector<uint8_t> codes(x.size());
      const OffsetScale group = QuantizeWithOffset(x, 1.0f, bits, codes);
      const double scale = double{ToFloat(group.scale)};
      const auto steps = static_cast<double>((1 << bits) - 1);
      // The offset is rounded to fp16, and the step: over all steps that may be as much again.
      const double ends = std::ldexp(std::abs(double{ToFloat(group.offset)}), -11) +
                          std::ldexp(scale * steps, -11) + 1e-6;
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_LE(codes[i], (1 << bits) - 1);
        ASSERT_NEAR(double{group.Value(codes[i])}, double{x[i]}, 0.5 * scale + 2 * ends);
      }
    }
  }
}

TEST(KvQuantTest, FakeQuantizedIsTheDequantizedCode) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const float clip : {1.0f, 0.85f, 0.5f}) {
      const std::vector<float> x = Normals(130, 0.7f, static_cast<uint64_t>(bits));
      std::vector<uint8_t> codes(x.size());
      const OffsetScale group = QuantizeWithOffset(x, clip, bits, codes);
      std::vector<float> fake = x;
      FakeQuantizeKv({.fake_bits = bits, .offset = KvOffset::kFloat}, clip, fake);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(fake[i], group.Value(codes[i]));
    }
  }
}

TEST(KvQuantTest, HeadsWithoutNumbersHaveDefinedCodes) {
  std::vector<uint8_t> codes(4);
  OffsetScale group = QuantizeWithOffset(std::vector<float>(4, 0.0f), 1.0f, 4, codes);
  EXPECT_THAT(codes, Each(0));
  EXPECT_EQ(group.Value(0), 0.0f);
  group = QuantizeWithOffset(std::vector<float>{kNan, 1.0f, -1.0f, 0.5f}, 1.0f, 4, codes);
  EXPECT_EQ(codes[0], 0);
  EXPECT_EQ(codes[1], 15);
  group = QuantizeWithOffset(std::vector<float>{kInf, -kInf, 0.0f, kNan}, 0.9f, 4, codes);
  for (const uint8_t code : codes) EXPECT_TRUE(std::isfinite(group.Value(code)));
  EXPECT_EQ(codes[0], 15);
  EXPECT_EQ(codes[1], 0);
  group = QuantizeWithOffset(std::vector<float>(4, 1e38f), 1.0f, 8, codes);
  EXPECT_EQ(ToFloat(group.offset), 65504.0f);
}

TEST(KvQuantTest, KeysLoseTheirHeadsMeanAndAreThenRotated) {
  constexpr size_t d = 16;
  KvFormat format{.hadamard = true};
  format.key_mean = Normals(2 * d, 0.0f, 5);
  const std::vector<float> key = Normals(d, 1.0f, 6);
  std::vector<float> expected = key;
  for (size_t i = 0; i < d; ++i) expected[i] -= format.key_mean[d + i];
  RotateHead(expected);
  std::vector<float> actual = key;
  TransformKey(format, 1, actual);
  EXPECT_EQ(actual, expected);
  actual = key;
  TransformKey({}, 1, actual);
  EXPECT_EQ(actual, key);
}

TEST(KvQuantTest, EachHeadHasItsClip) {
  const KvFormat one{.clip = 0.9f};
  EXPECT_EQ(one.ClipOf(1, 3), 0.9f);
  KvFormat many;
  many.head_clips = {0.1f, 0.2f, 0.3f, 0.4f};
  EXPECT_EQ(many.ClipOf(0, 1), 0.2f);
  EXPECT_EQ(many.ClipOf(1, 0), 0.3f);
  EXPECT_FALSE(many.is_basic());
}

TEST(KvQuantTest, SimulationKeepsEverythingButTheStorage) {
  KvFormat packed{.storage = KvStorage::kInt4, .clip = 0.9f};
  packed.offset = KvOffset::kFloat;
  packed.hadamard = true;
  KvFormat expected = packed;
  expected.storage = KvStorage::kF32;
  expected.fake_bits = 4;
  EXPECT_EQ(packed.Simulated(), expected);
  EXPECT_EQ(expected.Simulated(), expected);
}

}  // namespace
}  // namespace atom::quant
