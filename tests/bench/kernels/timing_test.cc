#include "atom/bench/kernels/timing.h"

#include <gtest/gtest.h>

namespace atom::bench {
namespace {

TEST(TimingTest, MedianIsTheMiddle) {
  EXPECT_EQ(Median({5.0}), 5.0);
  EXPECT_EQ(Median({9.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(Median({4.0, 100.0, 1.0, 2.0}), 3.0);
}

TEST(TimingTest, ARepeatLastsLongEnoughAndCountsCalls) {
  int calls = 0;
  const Stopwatch clock;
  const double seconds = TimeRepeat(0.02, [&] { ++calls; });
  EXPECT_GE(clock.Seconds(), 0.02);
  EXPECT_GT(calls, 10);
  EXPECT_GE(seconds * calls, 0.02 * 0.999);
  calls = 0;
  TimeRepeat(0.0, [&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(TimingTest, MedianSecondsWarmsUpAndRepeats) {
  int calls = 0;
  const double seconds = MedianSeconds({.repeat_seconds = 0.0, .repeats = 5}, [&] { ++calls; });
  EXPECT_EQ(calls, 6);
  EXPECT_GE(seconds, 0.0);
}

}  // namespace
}  // namespace atom::bench
