#include "atom/core/progress.h"

#include <gtest/gtest.h>

namespace atom {
namespace {

TEST(ProgressTest, Line) {
  EXPECT_EQ(Progress::Line("quantize", 0, 4, 0.0, ""),
            "quantize  [------------------------]   0 %");
  EXPECT_EQ(Progress::Line("quantize", 1, 4, 10.0, ""),
            "quantize  [######------------------]  25 %  0:30 left");
  EXPECT_EQ(Progress::Line("eval", 1, 2, 125.0, "ppl 48.40"),
            "eval  [############------------]  50 %  2:05 left  ppl 48.40");
  EXPECT_EQ(Progress::Line("eval", 2, 2, 250.0, "done"),
            "eval  [########################] 100 %  done");
}

TEST(ProgressTest, LineStaysInsideTheBar) {
  EXPECT_EQ(Progress::Line("x", 9, 3, 1.0, ""), "x  [########################] 100 %");
  EXPECT_EQ(Progress::Line("x", -1, 3, 1.0, ""), "x  [------------------------]   0 %");
}

TEST(ProgressTest, SilentWithoutATerminal) {
  testing::internal::CaptureStderr();  // stderr is a file now
  {
    Progress progress("work", 3);
    progress.Advance();
    progress.Update(3, "detail");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace atom
