#include "atom/bench/serving/interrupt_watch.h"

#include <gtest/gtest.h>

namespace atom::bench {
namespace {

TEST(InterruptWatchTest, SeesAnInterruptThatEndsNothing) {
  InterruptWatch watch;
  EXPECT_FALSE(watch.Seen());
  raise(SIGINT);
  EXPECT_TRUE(watch.Seen());
  EXPECT_TRUE(watch.Seen());
}

TEST(InterruptWatchTest, WhatNobodyAskedAboutEndsNothingEither) {
  {
    InterruptWatch watch;
    raise(SIGINT);
  }
  InterruptWatch next;
  EXPECT_FALSE(next.Seen());
}

}  // namespace
}  // namespace atom::bench
