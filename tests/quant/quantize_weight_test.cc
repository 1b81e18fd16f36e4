#include "atom/quant/quantize_weight.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "atom/quant/group_quant.h"
#include "atom/quant/two_level.h"

#include "random_problem.h"

namespace atom::quant {
namespace {

using ::testing::HasSubstr;

class QuantizeWeightTest : public ::testing::Test {
 protected:
  QuantizedWeight Quantize(const RandomProblem& problem, const WeightFormat& format) {
    auto result =
        QuantizeWeight(problem.w, problem.n, problem.k, format, problem.hessian, *algebra_);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(result).value();
  }

  std::string ErrorOf(const std::vector<float>& w, int64_t n, int64_t k,
                      const WeightFormat& format) {
    const std::vector<float> hessian(static_cast<size_t>(k * k), 0.0f);
    const auto result = QuantizeWeight(w, n, k, format, hessian, *algebra_);
    return result.ok() ? "no error" : result.error().message;
  }

  std::unique_ptr<DenseAlgebra> algebra_ = MakeCpuAlgebra(2);
};

std::span<const float> Part(const std::vector<float>& w, int64_t k, int64_t row, int64_t first,
                            int64_t count) {
  return std::span(w).subspan(static_cast<size_t>(row * k + first), static_cast<size_t>(count));
}

TEST_F(QuantizeWeightTest, SixteenBitsLeaveTheWeightAlone) {
  const RandomProblem problem(3, 10, 1);
  const QuantizedWeight result = Quantize(problem, {.bits = 16, .outliers = 4});
  EXPECT_EQ(result.dense, problem.w);
  EXPECT_FALSE(result.packed.has_value());
}

TEST_F(QuantizeWeightTest, RoundToNearestByGroups) {
  const RandomProblem problem(4, 22, 2);
  const WeightFormat format{.bits = 4, .group = 8, .clip = 0.85f, .outliers = 6};
  const QuantizedWeight result = Quantize(problem, format);
  ASSERT_TRUE(result.packed.has_value());
  EXPECT_EQ(result.packed->k4, 16);
  EXPECT_EQ(result.packed->k8, 6);
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t group = 0; group < 2; ++group) {
      std::vector<int8_t> codes(8);
      const auto scale = QuantizeSymmetric(Part(problem.w, 22, row, group * 8, 8), 0.85f, 4, codes);
      EXPECT_EQ(result.packed->scales4[static_cast<size_t>(group * 4 + row)], scale);
      for (int64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(result.packed->Code4(row, group * 8 + i), codes[static_cast<size_t>(i)]);
      }
    }
    std::vector<int8_t> outliers(6);
    EXPECT_EQ(result.packed->scales8[static_cast<size_t>(row)],
              QuantizeSymmetric(Part(problem.w, 22, row, 16, 6), 1.0f, 8, outliers));
    EXPECT_TRUE(
        std::equal(outliers.begin(), outliers.end(), result.packed->codes8.begin() + row * 6));
  }
}

TEST_F(QuantizeWeightTest, ChannelGroupsShareTheFitAndStoreItPerRow) {
  const RandomProblem problem(6, 16, 3);
  for (const bool gptq : {false, true}) {
    const QuantizedWeight result =
        Quantize(problem, {.bits = 4, .group = 8, .channel_group = 2, .gptq = gptq});
    const QuantizedMatrix& packed = *result.packed;
    for (int64_t row = 0; row < 6; row += 2) {
      for (int64_t group = 0; group < 2; ++group) {
        EXPECT_EQ(packed.Scale4(row, group * 8), packed.Scale4(row + 1, group * 8));
      }
      // The first group's fit is over both rows of the untouched weight.
      const float amax = std::max(AbsMax(Part(problem.w, 16, row, 0, 8)),
                                  AbsMax(Part(problem.w, 16, row + 1, 0, 8)));
      const Half expected = gptq ? StoredScale(2 * amax / 15.0f) : SymmetricScale(amax, 1.0f, 4);
      EXPECT_EQ(packed.Scale4(row, 0), ToFloat(expected));
    }
  }
}

TEST_F(QuantizeWeightTest, TwoLevelScalesByRounding) {
  const RandomProblem problem(5, 38, 12);
  const QuantizedWeight result = Quantize(
      problem,
      {.bits = 4, .group = 8, .scales = ScaleFormat::kTwoLevel, .clip = 0.85f, .outliers = 6});
  const QuantizedMatrix& packed = *result.packed;
  ASSERT_EQ(packed.scale_format(), ScaleFormat::kTwoLevel);
  for (int64_t row = 0; row < 5; ++row) {
    // A row is quantized as a token's would be.
    const ActivationFormat format{
        .bits = 4, .group = 8, .scales = ScaleFormat::kTwoLevel, .clip = 0.85f};
    std::vector<int8_t> codes(32);
    std::vector<uint8_t> multipliers(4);
    const float scale =
        QuantizeTwoLevel(format, Part(problem.w, 38, row, 0, 32), codes, multipliers);
    EXPECT_EQ(packed.row_scales4[static_cast<size_t>(row)], scale);
    for (int64_t g = 0; g < 4; ++g) {
      EXPECT_EQ(packed.Multiplier4(row, g), multipliers[static_cast<size_t>(g)]);
    }
    for (int64_t k = 0; k < 32; ++k) {
      EXPECT_EQ(packed.Code4(row, k), codes[static_cast<size_t>(k)]);
    }
    std::vector<int8_t> outliers(6);
    EXPECT_EQ(packed.scales8[static_cast<size_t>(row)],
              QuantizeSymmetric(Part(problem.w, 38, row, 32, 6), 1.0f, 8, outliers));
  }
}

TEST_F(QuantizeWeightTest, TwoLevelScalesInGptq) {
  const RandomProblem problem(6, 150, 13);
  const WeightFormat one_level{.bits = 4, .group = 32, .outliers = 22, .gptq = true};
  WeightFormat format = one_level;
  format.scales = ScaleFormat::kTwoLevel;
  for (const int64_t channel_group : {1, 2}) {
    format.channel_group = channel_group;
    const QuantizedWeight result = Quantize(problem, format);
    const QuantizedMatrix& packed = *result.packed;
    for (int64_t row = 0; row < 6; ++row) {
      // S of all groups of the untouched weight; with it the first group's k.
      float largest = 0.0f;
      float first = 0.0f;
      for (int64_t g = 0; g < 4; ++g) {
        float amax = 0.0f;
        const int64_t head = row / channel_group * channel_group;
        for (int64_t r = head; r < head + channel_group; ++r) {
          amax = std::max(amax, AbsMax(Part(problem.w, 150, r, g * 32, 32)));
        }
        largest = std::max(largest, 2 * amax / 15.0f);
        if (g == 0) first = 2 * amax / 15.0f;
      }
      const float scale = packed.row_scales4[static_cast<size_t>(row)];
      EXPECT_EQ(scale, RowScale(largest));
      EXPECT_EQ(packed.Multiplier4(row, 0), Multiplier(first, scale));
    }
    for (int64_t row = 0; row < 6; ++row) {
      std::vector<float> values(150);
      packed.DequantizeRow(row, values);
      EXPECT_TRUE(std::ranges::equal(values, Part(result.dense, 150, row, 0, 150)));
    }
    // It is about as good as fp16 scales, and far better than rounding.
    const auto error = [&](const WeightFormat& f) {
      return MeasureOutputError(problem.w, Quantize(problem, f).dense, 6, 150, problem.hessian,
                                *algebra_)
          .relative();
    };
    WeightFormat rounded = format;
    rounded.gptq = false;
    EXPECT_LT(error(format), 1.3 * error(one_level));
    EXPECT_LT(error(format), error(rounded));
  }
}

/// Groups of zeros neither set S nor get in the way.
TEST_F(QuantizeWeightTest, TwoLevelScalesOfZeros) {
  RandomProblem problem(2, 24, 14);
  for (size_t i = 0; i < 8; ++i) problem.w[i] = 0.0f;
  std::fill(problem.w.begin() + 24, problem.w.end(), 0.0f);
  for (const bool gptq : {false, true}) {
    const QuantizedWeight result =
        Quantize(problem, {.bits = 4, .group = 8, .scales = ScaleFormat::kTwoLevel, .gptq = gptq});
    EXPECT_LT(result.packed->row_scales4[0], 0.01f);
    EXPECT_LT(result.packed->row_scales4[1], 1e-6f);
    for (size_t i = 24; i < 48; ++i) EXPECT_EQ(result.dense[i], 0.0f);
  }
}

TEST_F(QuantizeWeightTest, TwoLevelScalesHaveAMostWidth) {
  const std::vector<float> w(65538, 0.1f);
  const WeightFormat format{.bits = 4, .group = 2, .scales = ScaleFormat::kTwoLevel};
  const auto wide = QuantizeWeight(w, 1, 65538, format, {}, *algebra_);
  ASSERT_FALSE(wide.ok());
  EXPECT_EQ(wide.error().message,
            "two-level scales are for at most 65536 columns, but the weight has 65538");
  EXPECT_TRUE(QuantizeWeight(std::span(w).first(65536), 1, 65536, format, {}, *algebra_).ok());
}

TEST_F(QuantizeWeightTest, RaggedColumnsJoinTheOutliers) {
  const RandomProblem problem(2, 21, 4);
  const QuantizedWeight result = Quantize(problem, {.bits = 4, .group = 8, .outliers = 2});
  EXPECT_EQ(result.packed->k4, 16);
  EXPECT_EQ(result.packed->k8, 5);
  const QuantizedWeight all = Quantize(problem, {.bits = 4, .group = 32, .outliers = 2});
  EXPECT_EQ(all.packed->k4, 0);
  EXPECT_EQ(all.packed->k8, 21);
}

TEST_F(QuantizeWeightTest, PerChannelAndInt8) {
  const RandomProblem problem(3, 20, 5);
  const QuantizedWeight per_channel = Quantize(problem, {.bits = 4});
  EXPECT_EQ(per_channel.packed->group, 20);
  const QuantizedWeight int8 = Quantize(problem, {.bits = 8});
  EXPECT_EQ(int8.packed->k4, 0);
  EXPECT_EQ(int8.packed->k8, 20);
  for (int64_t row = 0; row < 3; ++row) {
    std::vector<int8_t> codes(20);
    EXPECT_EQ(int8.packed->scales8[static_cast<size_t>(row)],
              QuantizeSymmetric(Part(problem.w, 20, row, 0, 20), 1.0f, 8, codes));
    EXPECT_TRUE(std::equal(codes.begin(), codes.end(), int8.packed->codes8.begin() + row * 20));
  }
}

TEST_F(QuantizeWeightTest, DenseIsWhatTheCodesStandFor) {
  const RandomProblem problem(6, 150, 6);
  for (const bool gptq : {false, true}) {
    for (const WeightFormat& format :
         {WeightFormat{.bits = 4, .group = 32, .channel_group = 2, .clip = 0.85f, .outliers = 20},
          WeightFormat{.bits = 4, .outliers = 10}, WeightFormat{.bits = 8}}) {
      WeightFormat chosen = format;
      chosen.gptq = gptq;
      const QuantizedWeight result = Quantize(problem, chosen);
      ASSERT_TRUE(result.packed.has_value());
      std::vector<float> row(150);
      for (int64_t n = 0; n < 6; ++n) {
        result.packed->DequantizeRow(n, row);
        EXPECT_TRUE(std::equal(row.begin(), row.end(), result.dense.begin() + n * 150));
      }
    }
  }
}

TEST_F(QuantizeWeightTest, OutlierFormatsWithoutKernelsAreDense) {
  const RandomProblem problem(2, 24, 7);
  for (const OutlierFormat outlier_format :
       {OutlierFormat::kFp16, OutlierFormat::kE5M2, OutlierFormat::kE4M3}) {
    const QuantizedWeight result =
        Quantize(problem, {.bits = 4, .group = 8, .outliers = 8, .outlier_format = outlier_format});
    EXPECT_FALSE(result.packed.has_value());
    std::vector<float> expected(problem.w.begin() + 16, problem.w.begin() + 24);
    FakeQuantizeOutliers(outlier_format, expected);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), result.dense.begin() + 16));
  }
}

TEST_F(QuantizeWeightTest, PackableIsWhatTheLayoutHolds) {
  EXPECT_TRUE(IsPackable({.bits = 4, .group = 128, .outliers = 128}));
  EXPECT_TRUE(IsPackable({.bits = 4}));
  EXPECT_TRUE(IsPackable({.bits = 4, .outlier_format = OutlierFormat::kFp16}));
  EXPECT_TRUE(IsPackable({.bits = 8}));
  EXPECT_FALSE(IsPackable({.bits = 16}));
  EXPECT_FALSE(IsPackable({.bits = 3, .group = 128}));
  EXPECT_FALSE(IsPackable({.bits = 4, .symmetric = false}));
  EXPECT_FALSE(IsPackable({.bits = 4, .number = NumberFormat::kE2M1}));
  EXPECT_FALSE(IsPackable({.bits = 4, .outliers = 1, .outlier_format = OutlierFormat::kE4M3}));
  EXPECT_FALSE(IsPackable({.bits = 4, .group = 64, .outlier_format = OutlierFormat::kFp16}));
  EXPECT_FALSE(IsPackable({.bits = 8, .group = 128}));
  EXPECT_FALSE(IsPackable({.bits = 8, .outliers = 128}));
}

TEST_F(QuantizeWeightTest, PublishedPerChannelIgnoresClipAndChannelGroup) {
  const RandomProblem problem(4, 20, 8);
  const QuantizedWeight published =
      Quantize(problem, {.bits = 4, .channel_group = 2, .clip = 0.5f, .reference_parity = true});
  const QuantizedWeight plain = Quantize(problem, {.bits = 4});
  EXPECT_EQ(published.dense, plain.dense);
  EXPECT_NE(Quantize(problem, {.bits = 4, .clip = 0.5f}).dense, plain.dense);
}

TEST_F(QuantizeWeightTest, ErrorsNameTheMisfit) {
  const std::vector<float> w(12, 1.0f);
  EXPECT_THAT(ErrorOf(w, 3, 4, {.bits = 4, .outliers = 5}), HasSubstr("5 outlier columns"));
  EXPECT_THAT(ErrorOf(w, 3, 4, {.bits = 4, .channel_group = 2}), HasSubstr("3 rows"));
  EXPECT_THAT(ErrorOf(w, 4, 3, {.bits = 4}), HasSubstr("pairs"));
  EXPECT_THAT(ErrorOf(w, 3, 4, {.bits = 4, .number = NumberFormat::kExponent, .gptq = true}),
              HasSubstr("exponent"));
  std::vector<float> hostile = w;
  hostile[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(ErrorOf(hostile, 3, 4, {.bits = 4}),
              HasSubstr("element (1, 3) of the weight is nan"));
  hostile[7] = 1e6f;
  EXPECT_THAT(
      ErrorOf(hostile, 3, 4, {.bits = 4, .outliers = 2, .outlier_format = OutlierFormat::kFp16}),
      HasSubstr("rounded weight is inf"));
}

}  // namespace
}  // namespace atom::quant
