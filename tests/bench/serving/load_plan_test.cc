#include "atom/bench/serving/load_plan.h"

#include <gtest/gtest.h>

namespace atom::bench {
namespace {

TEST(LoadPlanTest, APoissonProcessHasTheRateAndExponentialGaps) {
  LoadOptions options;
  options.fixed = RequestLengths{10, 5};
  options.requests = 50'000;
  options.rate = 4.0;
  const LoadPlan plan = PlanLoad(options).value();
  ASSERT_EQ(plan.requests.size(), 50'000u);
  double before = 0.0;
  double squares = 0.0;
  for (const PlannedRequest& request : plan.requests) {
    const double gap = request.seconds - before;
    ASSERT_GE(gap, 0.0);
    squares += gap * gap;
    before = request.seconds;
    EXPECT_EQ(request.lengths, (RequestLengths{10, 5}));
  }
  // Mean 1/4 and second moment 2/16, each within five standard errors.
  EXPECT_NEAR(before / 50'000, 0.25, 5 * 0.25 / 223.6);
  EXPECT_NEAR(squares / 50'000, 0.125, 5 * 0.2795 / 223.6);
  EXPECT_EQ(PlanLoad(options)->requests[99].seconds, plan.requests[99].seconds);
  options.seed = 1;
  EXPECT_NE(PlanLoad(options)->requests[99].seconds, plan.requests[99].seconds);
}

TEST(LoadPlanTest, ATraceKeepsItsTimesAndIsCutToTheContext) {
  LoadOptions options;
  options.trace = {{0.0, {10, 5}}, {3.0, {100, 20}}, {9.0, {10, 200}}};
  options.rate_scale = 2.0;
  options.context = 64;
  LoadPlan plan = PlanLoad(options).value();
  ASSERT_EQ(plan.requests.size(), 3u);
  EXPECT_EQ(plan.requests[1].seconds, 1.5);
  EXPECT_EQ(plan.requests[2].seconds, 4.5);
  EXPECT_EQ(plan.requests[0].lengths, (RequestLengths{10, 5}));
  EXPECT_EQ(plan.requests[1].lengths, (RequestLengths{44, 20}));
  EXPECT_EQ(plan.requests[2].lengths, (RequestLengths{1, 63}));
  EXPECT_EQ(plan.cut, 2);
  options.seconds = 2.0;
  EXPECT_EQ(PlanLoad(options)->requests.size(), 2u);
  options.requests = 1;
  EXPECT_EQ(PlanLoad(options)->requests.size(), 1u);
}

TEST(LoadPlanTest, PublishedLengthsFitTheContext) {
  LoadOptions options;
  options.concurrency = 3;
  options.context = 100;
  const LoadPlan plan = PlanLoad(options).value();
  EXPECT_EQ(plan.requests.size(), 100u);
  for (const PlannedRequest& request : plan.requests) EXPECT_LE(request.lengths.total(), 100);
  EXPECT_EQ(plan.concurrency, 3);
}

TEST(LoadPlanTest, AnOpenLoopNeedsTimes) {
  EXPECT_NE(PlanLoad({}).error().message.find("--rate"), std::string::npos);
}

TEST(PacerTest, AnOpenLoopWaitsForTimesOnly) {
  const LoadPlan plan{.requests = {{0.0, {}}, {1.0, {}}, {1.0, {}}}};
  Pacer pacer(plan);
  EXPECT_EQ(pacer.Next(0.0, 100), 0u);
  EXPECT_EQ(pacer.Next(0.5, 0), std::nullopt);
  EXPECT_EQ(pacer.NextTime(), 1.0);
  EXPECT_EQ(pacer.Next(1.0, 100), 1u);
  EXPECT_EQ(pacer.Next(1.0, 100), 2u);
  EXPECT_TRUE(pacer.done());
  EXPECT_EQ(pacer.NextTime(), std::nullopt);
}

TEST(PacerTest, AClosedLoopWaitsForRoomAndStopsInTime) {
  const LoadPlan plan{.requests = std::vector<PlannedRequest>(9), .concurrency = 2, .seconds = 5.0};
  Pacer pacer(plan);
  EXPECT_EQ(pacer.Next(0.0, 0), 0u);
  EXPECT_EQ(pacer.Next(0.0, 1), 1u);
  EXPECT_EQ(pacer.Next(0.0, 2), std::nullopt);
  EXPECT_EQ(pacer.NextTime(), std::nullopt);
  EXPECT_EQ(pacer.Next(4.9, 1), 2u);
  EXPECT_EQ(pacer.Next(5.1, 0), std::nullopt);
  EXPECT_TRUE(pacer.done());
}

}  // namespace
}  // namespace atom::bench
