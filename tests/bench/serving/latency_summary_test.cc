#include "atom/bench/serving/latency_summary.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace atom::bench {
namespace {

TEST(LatencySummaryTest, PercentilesAreThoseOfNumpy) {
  // numpy.percentile([1, 2, 4, 8, 16], [0, 50, 90, 99, 100])
  const std::vector<double> values = {1, 2, 4, 8, 16};
  EXPECT_DOUBLE_EQ(Percentile(values, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(Percentile(values, 0.5), 4.0);
  EXPECT_DOUBLE_EQ(Percentile(values, 0.9), 12.8);
  EXPECT_DOUBLE_EQ(Percentile(values, 0.99), 15.68);
  EXPECT_DOUBLE_EQ(Percentile(values, 1.0), 16.0);
  EXPECT_DOUBLE_EQ(Percentile({3.0}, 0.7), 3.0);
}

TEST(LatencySummaryTest, OrderDoesNotMatter) {
  const LatencySummary summary = Summarize({16, 1, 8, 2, 4});
  EXPECT_EQ(summary.count, 5);
  EXPECT_DOUBLE_EQ(summary.mean, 6.2);
  EXPECT_DOUBLE_EQ(summary.p50, 4.0);
  EXPECT_DOUBLE_EQ(summary.p90, 12.8);
  EXPECT_DOUBLE_EQ(summary.p99, 15.68);
  EXPECT_DOUBLE_EQ(summary.max, 16.0);
}

TEST(LatencySummaryTest, NothingIsZero) {
  const LatencySummary summary = Summarize({});
  EXPECT_EQ(summary.count, 0);
  EXPECT_EQ(summary.p99, 0.0);
}

TEST(LatencySummaryTest, JsonIsInMilliseconds) {
  const nlohmann::json json = MillisecondsToJson(Summarize({0.25, 0.75}));
  EXPECT_EQ(json.at("count"), 2);
  EXPECT_DOUBLE_EQ(json.at("mean").get<double>(), 500.0);
  EXPECT_DOUBLE_EQ(json.at("p90").get<double>(), 700.0);
  EXPECT_DOUBLE_EQ(json.at("max").get<double>(), 750.0);
}

}  // namespace
}  // namespace atom::bench
