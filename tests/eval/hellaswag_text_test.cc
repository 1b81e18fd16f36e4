// Expected values: lm-evaluation-harness' preprocess, run in Python.
#include "atom/eval/hellaswag_text.h"

#include <gtest/gtest.h>

namespace atom::eval {
namespace {

TEST(CleanHellaswag, TakesTheMarksOut) {
  EXPECT_EQ(CleanHellaswag("  a b \n"), "a b");
  EXPECT_EQ(CleanHellaswag("[header] How to bake [title] Mix it. [step] Take"),
            " How to bake. Mix it. Take");
  EXPECT_EQ(CleanHellaswag("a [title]"), "a. ");
  EXPECT_EQ(CleanHellaswag("a [b [c] d] e"), "a d] e");
  EXPECT_EQ(CleanHellaswag("a [open\nb] c] [x]"), "a [open\nb] c] ");
  EXPECT_EQ(CleanHellaswag("a     b"), "a   b");  // five spaces
  EXPECT_EQ(CleanHellaswag(""), "");
}

TEST(HellaswagContext, IsActivityAndBothParts) {
  EXPECT_EQ(HellaswagContext("Surfing", "A man runs.", "he IS Wet"),
            "Surfing: A man runs. He is wet");
  EXPECT_EQ(HellaswagContext("Surfing", "A man runs.", ""), "Surfing: A man runs.");
}

}  // namespace
}  // namespace atom::eval
