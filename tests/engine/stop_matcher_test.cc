// Stop strings, however the text is cut.
#include "atom/engine/stop_matcher.h"

#include <gtest/gtest.h>

#include "atom/core/rng.h"

namespace atom::engine {
namespace {

struct Case {
  std::vector<std::string> strings;
  std::string text;
  std::string in_front;
  std::string behind;  ///< with include
  bool stops;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {{}, "anything", "anything", "anything", false},
      {{"\n"}, "a line\nanother", "a line", "a line\n", true},
      {{"END"}, "no end: EN", "no end: EN", "no end: EN", false},
      {{"END"}, "ENEND", "EN", "ENEND", true},
      {{"END"}, "END", "", "END", true},
      {{"aab"}, "aaaab!", "aa", "aaaab", true},
      {{"abab"}, "aabababab", "a", "aabab", true},
      {{"abcd", "bc"}, "xabcd", "xa", "xabc", true},     // ends first
      {{"c", "abc", "bc"}, "xabcd", "x", "xabc", true},  // the same end: the longest
      {{"later", "soon"}, "soon or later", "", "soon", true},
      {{"ü"}, "über u\u0308 ü", "", "ü", true},
      {{"###", "##x"}, "a ##x", "a ", "a ##x", true},
      {{"ab"}, "aaaaaa", "aaaaaa", "aaaaaa", false},
  };
  return cases;
}

TEST(StopMatcher, EndsAtTheFirstStringHoweverTheTextIsCut) {
  Rng random(3);
  for (const Case& c : Cases()) {
    for (const bool include : {false, true}) {
      for (int trial = 0; trial < 50; ++trial) {
        StopMatcher matcher(c.strings, include);
        std::string shown;
        for (size_t at = 0; at < c.text.size();) {
          const size_t size = trial == 0 ? c.text.size() : static_cast<size_t>(random.Below(4));
          shown += matcher.Push(std::string_view(c.text).substr(at, size));
          at += size;
        }
        EXPECT_EQ(matcher.stopped(), c.stops) << c.text;
        shown += matcher.Finish();
        EXPECT_EQ(shown, include ? c.behind : c.in_front) << c.text;
      }
    }
  }
}

TEST(StopMatcher, HoldsBackNoMoreThanItMust) {
  StopMatcher matcher({"<stop>", "##"}, false);
  EXPECT_EQ(matcher.Push("a"), "a");
  EXPECT_EQ(matcher.Push("b <st"), "b ");
  EXPECT_EQ(matcher.Push("ar> #"), "<star> ");
  EXPECT_EQ(matcher.Push("1 <"), "#1 ");
  EXPECT_EQ(matcher.Push("<"), "<");
  EXPECT_EQ(matcher.Push("stop>more"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.Push("more"), "");
  EXPECT_EQ(matcher.Finish(), "");
}

}  // namespace
}  // namespace atom::engine
