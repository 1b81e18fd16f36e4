#include "atom/bench/serving/rate_search.h"

#include <cmath>
#include <gtest/gtest.h>

namespace atom::bench {
namespace {

/// The rates that are tried where all up to `limit` hold.
std::vector<RateTrial> Trials(const RateSearch& search, double limit) {
  std::vector<RateTrial> trials;
  while (const std::optional<double> rate = NextRate(search, trials)) {
    trials.push_back({.rate = *rate, .holds = *rate <= limit});
  }
  return trials;
}

TEST(RateSearchTest, FindsTheHighestRateFromEitherSide) {
  for (const double first : {0.1, 1.0, 7.9, 8.0, 60.0}) {
    const std::vector<RateTrial> trials = Trials({.first = first, .most_trials = 30}, 8.0);
    const std::optional<double> highest = HighestRate(trials);
    ASSERT_TRUE(highest);
    EXPECT_LE(*highest, 8.0);
    EXPECT_GT(*highest, 8.0 / 1.1);
  }
}

TEST(RateSearchTest, IsOverWhenNothingHoldsOrTrialsAreUsedUp) {
  const std::vector<RateTrial> none = Trials({.first = 1.0, .least = 0.5}, 0.01);
  EXPECT_EQ(none.size(), 2u);  // 1 and two thirds
  EXPECT_FALSE(HighestRate(none));
  EXPECT_EQ(Trials({.first = 1.0, .most_trials = 5}, 1e9).size(), 5u);
  EXPECT_EQ(Trials({.first = 3.0}, 0.0).front().rate, 3.0);
}

TEST(RateSearchTest, WhatHeldAboveAFailureDoesNotCount) {
  const std::vector<RateTrial> trials = {{1.0, true}, {2.0, false}, {3.0, true}};
  EXPECT_EQ(HighestRate(trials), 1.0);
  EXPECT_DOUBLE_EQ(NextRate({}, trials).value(), std::sqrt(2.0));
}

}  // namespace
}  // namespace atom::bench
