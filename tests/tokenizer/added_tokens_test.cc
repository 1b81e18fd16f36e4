#include "atom/tokenizer/added_tokens.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace atom::tokenizer {
namespace {

using testing::ElementsAre;

AddedToken Token(int32_t id, std::string content) {
  AddedToken token;
  token.id = id;
  token.content = std::move(content);
  return token;
}

// "text" for plain text, "text:id" for a token.
std::vector<std::string> Split(const std::vector<AddedToken>& tokens, std::string_view text,
                               bool specials = true) {
  std::vector<std::string> parts;
  for (const TextSegment& segment : AddedTokenMatcher(tokens).Split(text, specials)) {
    parts.push_back(segment.IsToken() ? fmt::format("{}:{}", segment.text, segment.id)
                                      : std::string(segment.text));
  }
  return parts;
}

TEST(AddedTokenMatcher, TakesTheLongestAtTheLeftmost) {
  const std::vector<AddedToken> tokens = {Token(0, "<a>"), Token(1, "<a><b>"), Token(2, "<b>"),
                                          Token(3, "a><b><c")};
  EXPECT_THAT(Split(tokens, "x<a>y"), ElementsAre("x", "<a>:0", "y"));
  EXPECT_THAT(Split(tokens, "<a><b><b>"), ElementsAre("<a><b>:1", "<b>:2"));
  EXPECT_THAT(Split(tokens, "<a><b"), ElementsAre("<a>:0", "<b"));
  EXPECT_THAT(Split(tokens, "-a><b><c>"), ElementsAre("-", "a><b><c:3", ">"));
  EXPECT_THAT(Split(tokens, ""), ElementsAre());
  EXPECT_THAT(Split({}, "<a>"), ElementsAre("<a>"));
}

TEST(AddedTokenMatcher, SpecialTokensAreTextUnlessAskedFor) {
  AddedToken plain = Token(1, "[b]");
  plain.special = false;
  const std::vector<AddedToken> tokens = {Token(0, "<a>"), plain};
  EXPECT_THAT(Split(tokens, "<a>[b]", false), ElementsAre("<a>", "[b]:1"));
  EXPECT_THAT(Split(tokens, "<a>[b]", true), ElementsAre("<a>:0", "[b]:1"));
}

TEST(AddedTokenMatcher, TakesSpacesAlong) {
  AddedToken left = Token(0, "<l>");
  left.lstrip = true;
  AddedToken right = Token(1, "<r>");
  right.rstrip = true;
  const std::vector<AddedToken> tokens = {left, right};
  EXPECT_THAT(Split(tokens, "a \n\u3000<l> b"), ElementsAre("a", " \n\u3000<l>:0", " b"));
  EXPECT_THAT(Split(tokens, "a <r> \t b"), ElementsAre("a ", "<r> \t :1", "b"));
  EXPECT_THAT(Split(tokens, "<r>  <l>"), ElementsAre("<r>  :1", "<l>:0"))
      << "the spaces are the first one's";
  EXPECT_THAT(Split(tokens, " <l>"), ElementsAre(" <l>:0"));
  // White space that is a token itself may all be taken by the one before.
  AddedToken space = Token(2, "  ");
  space.lstrip = space.rstrip = true;
  EXPECT_THAT(Split({space}, "a\n    b"), ElementsAre("a", "\n    :2", "b"));
}

// Each of these takes the same spaces along: looked at once, not once for each.
TEST(AddedTokenMatcher, ManySpacesTakeLinearTime) {
  AddedToken space = Token(0, " ");
  space.rstrip = true;
  const std::string text(size_t{1} << 18, ' ');
  EXPECT_EQ(AddedTokenMatcher({space}).Split(text, true).size(), text.size());
  space.lstrip = true;
  EXPECT_EQ(AddedTokenMatcher({space}).Split(text, true).size(), 1u);
}

TEST(AddedTokenMatcher, SingleWordsTouchNoWord) {
  AddedToken token = Token(0, "cat");
  token.single_word = true;
  const std::vector<AddedToken> tokens = {token};
  EXPECT_THAT(Split(tokens, "a cat, cat"), ElementsAre("a ", "cat:0", ", ", "cat:0"));
  EXPECT_THAT(Split(tokens, "cats"), ElementsAre("cats"));
  EXPECT_THAT(Split(tokens, "écat cat_"), ElementsAre("écat cat_"));
  EXPECT_THAT(Split(tokens,
                    "\xFF"
                    "cat\xFF"),
              ElementsAre("\xFF", "cat:0", "\xFF"));
}

}  // namespace
}  // namespace atom::tokenizer
