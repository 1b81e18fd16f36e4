#include "atom/quant/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace atom::quant {
namespace {

using ::testing::ElementsAre;

TEST(ChannelStatisticTest, HessianIsTheDoubledMeanOverSamplesOfSummedSquares) {
  ChannelStatistic statistic(Metric::kHessian, 2);
  statistic.AddSample(std::vector<float>{1, -2, 3, 0}, 2);  // 1 + 9, 4 + 0
  statistic.AddSample(std::vector<float>{2, 1}, 1);
  statistic.AddSample(std::vector<float>{0, 4}, 1);
  EXPECT_THAT(statistic.Finish(),
              ElementsAre(static_cast<float>(28.0 / 3.0), static_cast<float>(42.0 / 3.0)));
}

TEST(ChannelStatisticTest, AbsMeanIsTheLargestMeanOfASample) {
  ChannelStatistic statistic(Metric::kAbsMean, 2);
  statistic.AddSample(std::vector<float>{1, -2, -3, 0}, 2);  // means 2, 1
  statistic.AddSample(std::vector<float>{-1.5f, 7}, 1);
  EXPECT_THAT(statistic.Finish(), ElementsAre(2, 7));
}

TEST(ChannelStatisticTest, NothingSeenIsZero) {
  ChannelStatistic statistic(Metric::kHessian, 3);
  EXPECT_THAT(statistic.Finish(), ElementsAre(0, 0, 0));
  statistic.AddSample({}, 0);
  EXPECT_THAT(statistic.Finish(), ElementsAre(0, 0, 0));
}

}  // namespace
}  // namespace atom::quant
