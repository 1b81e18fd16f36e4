#include "atom/quant/group_quant.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "atom/core/rng.h"
#include "atom/quant/fp8.h"
#include "atom/quant/kv_quant.h"

namespace atom::quant {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> Normals(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(count);
  for (float& value : x) value = static_cast<float>(rng.Normal());
  return x;
}

TEST(GroupQuantTest, StoredScaleIsClampedFp16) {
  EXPECT_EQ(ToFloat(StoredScale(1.0f / 3.0f)), 0.333251953125f);
  EXPECT_EQ(ToFloat(StoredScale(0.0f)), 0x1p-24f);
  EXPECT_EQ(ToFloat(StoredScale(-5.0f)), 0x1p-24f);
  EXPECT_EQ(ToFloat(StoredScale(kNan)), 0x1p-24f);
  EXPECT_EQ(ToFloat(StoredScale(1e9f)), 65504.0f);
  EXPECT_EQ(ToFloat(StoredScale(kInf)), 65504.0f);
}

TEST(GroupQuantTest, AbsMax) {
  EXPECT_EQ(AbsMax({}), 0.0f);
  EXPECT_EQ(AbsMax(std::vector<float>{1, -3, 2}), 3.0f);
  EXPECT_EQ(AbsMax(std::vector<float>{kNan, -0.5f, kNan}), 0.5f);
  EXPECT_EQ(AbsMax(std::vector<float>{kNan, -kInf}), kInf);
  const std::vector<float> x = Normals(1001, 1);
  float expected = 0.0f;
  for (const float value : x) expected = std::max(expected, std::fabs(value));
  EXPECT_EQ(AbsMax(x), expected);
}

TEST(GroupQuantTest, SymmetricByHand) {
  // amax 3.5, scale 0.5: 2x rounds half to even.
  const std::vector<float> x = {3.5f, -3.5f, 0.25f, 0.75f, -0.25f, 1.0f, 0.0f, -1.3f};
  std::vector<int8_t> codes(x.size());
  EXPECT_EQ(ToFloat(QuantizeSymmetric(x, 1.0f, 4, codes)), 0.5f);
  EXPECT_THAT(codes, ElementsAre(7, -7, 0, 2, 0, 2, 0, -3));
  // Half of the range: scale 0.25, and only now -8 is reached.
  EXPECT_EQ(ToFloat(QuantizeSymmetric(x, 0.5f, 4, codes)), 0.25f);
  EXPECT_THAT(codes, ElementsAre(7, -8, 1, 3, -1, 4, 0, -5));
  EXPECT_EQ(ToFloat(QuantizeSymmetric(x, 1.0f, 2, codes)), 3.5f);
  EXPECT_THAT(codes, ElementsAre(1, -1, 0, 0, 0, 0, 0, 0));
}

TEST(GroupQuantTest, CodesUseTheStoredScale) {
  // 1/7 is not an fp16: the code of 0.5/7 · (1 ± tiny) is decided by the rounded scale.
  const Half scale = SymmetricScale(1.0f, 1.0f, 4);
  EXPECT_EQ(ToFloat(scale), ToFloat(ToHalf(1.0f / 7.0f)));
  const float inv = 1.0f / ToFloat(scale);
  for (const float x : Normals(2000, 2)) {
    const auto expected = static_cast<int32_t>(std::clamp(std::nearbyint(x * inv), -8.0f, 7.0f));
    ASSERT_EQ(SymmetricCode(x, inv, 4), expected) << x;
  }
}

TEST(GroupQuantTest, ZerosNanAndInfinity) {
  std::vector<int8_t> codes(4);
  EXPECT_EQ(ToFloat(QuantizeSymmetric(std::vector<float>(4, 0.0f), 0.9f, 4, codes)),
            ToFloat(ToHalf(1e-5f * 0.9f / 7.0f)));
  EXPECT_THAT(codes, Each(0));
  QuantizeSymmetric(std::vector<float>{kNan, 1.0f, -1.0f, kNan}, 1.0f, 4, codes);
  EXPECT_THAT(codes, ElementsAre(0, 7, -7, 0));
  EXPECT_EQ(ToFloat(QuantizeSymmetric(std::vector<float>{kInf, -kInf, 1.0f, kNan}, 1.0f, 8, codes)),
            65504.0f);
  EXPECT_THAT(codes, ElementsAre(127, -128, 0, 0));
}

TEST(GroupQuantTest, AsymmetricByHand) {
  std::vector<uint8_t> codes(4);
  const AsymmetricScale mixed =
      QuantizeAsymmetric(std::vector<float>{-1.0f, 2.75f, 0.0f, 0.25f}, 1.0f, 4, codes);
  EXPECT_EQ(ToFloat(mixed.scale), 0.25f);
  EXPECT_EQ(mixed.zero, 4);
  EXPECT_THAT(codes, ElementsAre(0, 15, 4, 5));
  // All above zero: the range reaches down to it.
  const AsymmetricScale positive =
      QuantizeAsymmetric(std::vector<float>{3.0f, 3.75f, 3.25f, 3.5f}, 1.0f, 4, codes);
  EXPECT_EQ(ToFloat(positive.scale), 0.25f);
  EXPECT_EQ(positive.zero, 0);
  EXPECT_THAT(codes, ElementsAre(12, 15, 13, 14));
  const AsymmetricScale negative =
      QuantizeAsymmetric(std::vector<float>{-3.0f, -3.75f, 0.0f, kNan}, 1.0f, 4, codes);
  EXPECT_EQ(negative.zero, 15);
  EXPECT_THAT(codes, ElementsAre(3, 0, 15, 15));
  QuantizeAsymmetric(std::vector<float>(4, 0.0f), 1.0f, 4, codes);
  EXPECT_THAT(codes, Each(0));
  QuantizeAsymmetric(std::vector<float>{-kInf, kInf, 0.0f, 1.0f}, 1.0f, 8, codes);
  EXPECT_THAT(codes, ElementsAre(0, 255, 255, 255));  // zero = clamp(inf) = 255
}

TEST(GroupQuantTest, FakeQuantizedIsTheDequantizedCode) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const float clip : {1.0f, 0.85f}) {
      const std::vector<float> x = Normals(130, static_cast<uint64_t>(bits));
      std::vector<float> fake = x;
      FakeQuantizeGroup({.bits = bits, .clip = clip}, fake);
      std::vector<int8_t> codes(x.size());
      const float scale = ToFloat(QuantizeSymmetric(x, clip, bits, codes));
      std::vector<float> asymmetric = x;
      FakeQuantizeKv({.fake_bits = bits}, clip, asymmetric);
      std::vector<uint8_t> unsigned_codes(x.size());
      const AsymmetricScale zero_scale = QuantizeAsymmetric(x, clip, bits, unsigned_codes);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(fake[i], scale * codes[i]);
        ASSERT_EQ(asymmetric[i], ToFloat(zero_scale.scale) *
                                     static_cast<float>(unsigned_codes[i] - zero_scale.zero));
      }
    }
  }
}

TEST(GroupQuantTest, PublishedAsymmetricRangeLeavesZeroOut) {
  // Range [3, 3.75] of 4 bits: scale 0.05, zero clamp(-60) = 0, codes end at 15: 0.75.
  std::vector<float> x = {3.0f, 3.75f};
  FakeQuantizeKv({.fake_bits = 4, .reference_parity = true}, 1.0f, x);
  const float scale = ToFloat(ToHalf(0.05f));
  EXPECT_THAT(x, ElementsAre(15 * scale, 15 * scale));
  // A range around zero is the same either way.
  std::vector<float> published = {-1.0f, 2.75f, 0.3f};
  std::vector<float> mended = published;
  FakeQuantizeKv({.fake_bits = 4, .reference_parity = true}, 1.0f, published);
  FakeQuantizeKv({.fake_bits = 4}, 1.0f, mended);
  EXPECT_EQ(published, mended);
}

TEST(GroupQuantTest, Fp4ClipsUnlessPublished) {
  GroupFormat format{.bits = 4, .number = NumberFormat::kFp4Published, .clip = 0.5f};
  std::vector<float> x = {12.0f, -3.2f, 0.02f, 0.9f};
  FakeQuantizeGroup(format, x);  // scale 0.5
  EXPECT_THAT(x, ElementsAre(6.0f, -3.0f, 0.03125f, 1.0f));
  format.reference_parity = true;
  x = {12.0f, -3.2f, 0.02f, 0.9f};
  FakeQuantizeGroup(format, x);  // scale 1
  EXPECT_THAT(x, ElementsAre(12.0f, -3.0f, 0.0f, 0.0625f));
  format = {.bits = 4, .number = NumberFormat::kE2M1, .clip = 0.5f, .reference_parity = true};
  x = {12.0f, -2.6f, 0.2f, kNan};
  FakeQuantizeGroup(format, x);  // scale 1
  EXPECT_THAT(x, ElementsAre(6.0f, -3.0f, 0.0f, 0.0f));
}

TEST(GroupQuantTest, ExponentIgnoresTheClip) {
  std::vector<float> x = {8.0f, -3.1f, 0.001f, 0.0f, kNan, 3.0f};
  FakeQuantizeGroup({.bits = 3, .number = NumberFormat::kExponent, .clip = 0.5f}, x);
  EXPECT_THAT(x, ElementsAre(8.0f, -4.0f, 1.0f, 0.0f, 0.0f, 2.0f));
  // Asymmetric: base 5, half width 4, scale 0.5.
  x = {1.0f, 9.0f, 5.0f, 5.1f, 6.6f};
  FakeQuantizeGroup({.bits = 3, .number = NumberFormat::kExponent, .symmetric = false}, x);
  EXPECT_THAT(x, ElementsAre(1.0f, 9.0f, 5.0f, 5.5f, 7.0f));
}

TEST(GroupQuantTest, EveryFormatIsFiniteOnHostileGroups) {
  for (const NumberFormat number : {NumberFormat::kInt, NumberFormat::kFp4Published,
                                    NumberFormat::kE2M1, NumberFormat::kExponent}) {
    for (const bool symmetric : {true, false}) {
      for (const bool parity : {true, false}) {
        for (const std::vector<float>& group : {std::vector<float>{kNan, kNan},
                                                {kInf, -kInf, 1.0f},
                                                {kInf, kInf},
                                                {0.0f, -0.0f},
                                                {1e-38f, -1e-45f},
                                                {3e38f, -3e38f, kNan}}) {
          std::vector<float> x = group;
          FakeQuantizeGroup({.bits = 4,
                             .number = number,
                             .symmetric = symmetric,
                             .clip = 0.9f,
                             .reference_parity = parity},
                            x);
          for (const float value : x) {
            EXPECT_TRUE(std::isfinite(value)) << Name(number) << symmetric << parity;
          }
        }
      }
    }
  }
}

TEST(GroupQuantTest, Outliers) {
  const std::vector<float> x = {1.0f / 3.0f, -100.0f, 0.4f};
  std::vector<float> y = x;
  FakeQuantizeOutliers(OutlierFormat::kInt8, y);
  const float scale = ToFloat(ToHalf(100.0f / 127.0f));
  EXPECT_THAT(y, ElementsAre(0.0f, -127.0f * scale, scale));
  y = x;
  FakeQuantizeOutliers(OutlierFormat::kFp16, y);
  EXPECT_THAT(y, ElementsAre(ToFloat(ToHalf(x[0])), -100.0f, ToFloat(ToHalf(0.4f))));
  y = x;
  FakeQuantizeOutliers(OutlierFormat::kE4M3, y);
  EXPECT_THAT(y, ElementsAre(0.34375f, -104.0f, 0.40625f));
  y = x;
  FakeQuantizeOutliers(OutlierFormat::kE5M2, y);
  EXPECT_THAT(y, ElementsAre(0.3125f, -96.0f, 0.375f));
}

TEST(GroupQuantTest, ActivationsAreGroupsAndThenOutliers) {
  const std::vector<float> x = Normals(30, 9);
  const ActivationFormat format{.bits = 4, .group = 8, .clip = 0.9f, .outlier_columns = 6};
  std::vector<float> row = x;
  FakeQuantizeActivation(format, row);
  std::vector<float> expected = x;
  for (size_t first = 0; first < 24; first += 8) {
    FakeQuantizeGroup({.bits = 4, .clip = 0.9f}, std::span(expected).subspan(first, 8));
  }
  FakeQuantizeOutliers(OutlierFormat::kInt8, std::span(expected).subspan(24));
  EXPECT_EQ(row, expected);

  // One scale a token: the outliers stay out of it.
  ActivationFormat token = format;
  token.group = 0;
  row = x;
  row.back() = 1000.0f;
  FakeQuantizeActivation(token, row);
  expected = x;
  FakeQuantizeGroup({.bits = 4, .clip = 0.9f}, std::span(expected).first(24));
  EXPECT_TRUE(std::equal(expected.begin(), expected.begin() + 24, row.begin()));

  row = x;
  FakeQuantizeActivation({.bits = 16}, row);
  EXPECT_EQ(row, x);
}

}  // namespace
}  // namespace atom::quant
