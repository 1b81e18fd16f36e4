#include "atom/tokenizer/regex_meter.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace atom::tokenizer {
namespace {

using testing::HasSubstr;

// With ! for a mark, and without the one in front of all and the group around all.
std::string Marked(std::string_view regex) {
  const Result<MeteredRegex> marked = AddMeter(regex, "t");
  if (!marked.ok()) return marked.error().message;
  std::string text = marked->regex;
  for (size_t pos = text.find("(?{})"); pos != text.npos; pos = text.find("(?{})")) {
    text.replace(pos, 5, "!");
  }
  EXPECT_TRUE(text.starts_with("!(?:") && text.ends_with(")")) << text;
  return text.substr(4, text.size() - 5);
}

TEST(AddMeter, MarksGroupsBranchesAndQuantifiers) {
  EXPECT_EQ(Marked("ab|c"), "ab|!c");
  EXPECT_EQ(Marked("a*b++c{1,2}?d"), "a*!b++!c{1,2}?!d");
  EXPECT_EQ(Marked("(a)(?:b)(?=c)(?<!d)(?<n>e)(?i-m:f)"),
            "(!a)(?:!b)(?=!c)(?<!!d)(?<n>!e)(?i-m:!f)");
  EXPECT_EQ(Marked("(?i)a"), "(?i)!a");
  EXPECT_EQ(Marked("\\X\\X*"), "\\X!\\X*!");
}

TEST(AddMeter, LeavesAloneWhatOnlyLooksLikeThose) {
  for (const std::string_view regex :
       {"\\(\\*\\|", "[(*|)]", "[^[:alpha:]&&[(]\\]*]", "\\p{L}\\x{41}", "a{b", "a{,}", "x{1,2,3}",
        "(?#a(*|\\)b)", "é]}"}) {
    EXPECT_EQ(Marked(regex), regex);
  }
}

TEST(AddMeter, LongWaysBetweenMarksCostMore) {
  const auto cost = [](std::string_view regex) { return AddMeter(regex, "t")->step_cost; };
  EXPECT_EQ(cost("(?i:'s|'ll)| ?[^a-z]+|\\p{N}{1,3}"), 1);
  EXPECT_EQ(cost(std::string(640, 'a')), 11);
  EXPECT_EQ(cost(fmt::format("{0}+{0}", std::string(40, 'a'))), 1);
  EXPECT_EQ(cost("a{2,800}"), 51);
}

TEST(AddMeter, PunctuationHasSymbols) {
  EXPECT_EQ(Marked("[a[:punct:]]"), "[a\\p{P}\\p{S}]");
  EXPECT_EQ(Marked("[[:^punct:]]"), "[[^\\p{P}\\p{S}]]");
}

TEST(AddMeter, RefusesWhatCannotBeCounted) {
  EXPECT_THAT(Marked("(a)\\1"), HasSubstr("has a back reference"));
  EXPECT_THAT(Marked("(?<n>a)\\k<n>"), HasSubstr("has a back reference"));
  EXPECT_THAT(Marked("a(?{})"), HasSubstr("calls back"));
  EXPECT_THAT(Marked("(*FAIL)"), HasSubstr("calls back"));
  EXPECT_THAT(Marked("(?~a)"), HasSubstr("has an absent operator"));
  EXPECT_THAT(Marked("(a)?(?(1)b)"), HasSubstr("has a condition"));
  EXPECT_THAT(Marked("(?x) a"), HasSubstr("has the group '(?x', which is not supported"));
  EXPECT_THAT(Marked("a{1001}"), HasSubstr("repeats more than 1000 times"));
  EXPECT_THAT(Marked("a{99999999999}"), HasSubstr("repeats more than 1000 times"));
  EXPECT_THAT(Marked("\\cA"), HasSubstr("has a control character's escape"));
}

TEST(AddMeter, WantsPartnersOfParenthesesAndBrackets) {
  EXPECT_THAT(Marked("a)(b"), HasSubstr("has a ')' without '('"));
  EXPECT_THAT(Marked("(a"), HasSubstr("has a '(' without ')'"));
  EXPECT_THAT(Marked("[a"), HasSubstr("has a '[' without ']'"));
  EXPECT_THAT(Marked("[]a]"), HasSubstr("has a class that starts with ']'"));
  EXPECT_THAT(Marked("a\\"), HasSubstr("ends with a backslash"));
  EXPECT_THAT(Marked("[\\"), HasSubstr("ends with a backslash"));
  EXPECT_THAT(Marked("\\p{L"), HasSubstr("ends where it needs a '}'"));
  EXPECT_THAT(Marked("(?#a"), HasSubstr("has a comment without end"));
}

}  // namespace
}  // namespace atom::tokenizer
