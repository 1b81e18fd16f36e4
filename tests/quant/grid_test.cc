#include "atom/quant/grid.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace atom::quant {
namespace {

ValueRange RangeOf(const std::vector<float>& x) {
  ValueRange range;
  range.Add(x);
  return range;
}

TEST(GridTest, RangesOfValues) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(ValueRange{}.empty);
  ValueRange range = RangeOf({3.0f, -2.0f, 5.0f});
  EXPECT_EQ(range.low, -2.0f);
  EXPECT_EQ(range.high, 5.0f);
  range.Add(RangeOf({}));
  range.Add(RangeOf({-7.0f}));
  EXPECT_EQ(range.low, -7.0f);
  EXPECT_EQ(range.high, 5.0f);
  EXPECT_EQ(range.amax(), 7.0f);
  EXPECT_EQ(RangeOf({2.0f, 3.0f}).low, 2.0f);
  EXPECT_EQ(RangeOf({-2.0f, -3.0f}).high, -2.0f);
  EXPECT_EQ(RangeOf({2.0f, nan}).low, 0.0f);
  EXPECT_EQ(RangeOf({-HUGE_VALF, 1.0f}).low, -HUGE_VALF);
}

TEST(GridTest, GptqStepsSpanBothEnds) {
  const ValueRange range = RangeOf({-0.5f, 1.5f});
  const Grid int4 = GptqGrid({.bits = 4, .clip = 0.85f}, range);
  EXPECT_EQ(int4.scale, ToFloat(ToHalf(3.0f * 0.85f / 15.0f)));
  EXPECT_EQ(int4.low, -8.0f);
  EXPECT_EQ(int4.high, 7.0f);
  EXPECT_EQ(GptqGrid({.bits = 3}, range).scale, ToFloat(ToHalf(3.0f / 7.0f)));
  const Grid fp4 =
      GptqGrid({.bits = 4, .number = NumberFormat::kFp4Published, .clip = 0.5f}, range);
  EXPECT_EQ(fp4.scale, 0.0625f);  // 1.5 · 0.5 / 12
  EXPECT_EQ(fp4.high, 12.0f);
  EXPECT_EQ(GptqGrid({.bits = 4, .number = NumberFormat::kE2M1}, range).scale, 0.25f);
  EXPECT_EQ(GptqGrid({.bits = 4}, RangeOf({0.0f})).scale, ToFloat(ToHalf(2.0f / 15.0f)));
}

TEST(GridTest, GptqZeroPoints) {
  const ValueRange range = RangeOf({-3.0f, 0.75f});
  const Grid whole = GptqGrid({.bits = 4, .symmetric = false}, range);
  EXPECT_EQ(whole.scale, 0.25f);
  EXPECT_EQ(whole.low, -12.0f);
  EXPECT_EQ(whole.high, 3.0f);
  // Clipped to half: [-1.5, 0.375] in steps of 1/8; as published, the zero of the unclipped end.
  const GroupFormat half{.bits = 4, .symmetric = false, .clip = 0.5f};
  EXPECT_EQ(GptqGrid(half, range).low, -12.0f);
  GroupFormat published = half;
  published.reference_parity = true;
  EXPECT_EQ(GptqGrid(published, range).low, -24.0f);
  EXPECT_EQ(GptqGrid(published, range).high, -9.0f);
}

TEST(GridTest, ColumnsRoundAsGroupsDo) {
  for (const NumberFormat number :
       {NumberFormat::kInt, NumberFormat::kFp4Published, NumberFormat::kE2M1}) {
    const std::vector<float> x = {0.7f, -0.31f, 0.02f,
                                  5.0f, -9.0f,  std::numeric_limits<float>::quiet_NaN()};
    const Grid grid = GptqGrid({.bits = 4, .number = number}, RangeOf({-0.9f, 0.4f}));
    std::vector<float> expected = x;
    RoundToGrid(number, grid, expected);
    const std::vector<float> scale(x.size(), grid.scale);
    const std::vector<float> inv(x.size(), grid.inv);
    const std::vector<float> low(x.size(), grid.low);
    const std::vector<float> high(x.size(), grid.high);
    std::vector<float> out(x.size());
    RoundColumn(number, {scale, inv, low, high}, x, out);
    EXPECT_EQ(out, expected);
  }
}

}  // namespace
}  // namespace atom::quant
