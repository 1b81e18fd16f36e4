// Grammars by hand and matchers on them: recursion, ambiguity, what is cut, what is refused, and
// that a matcher is a value.
#include "atom/grammar/grammar_matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/grammar/schema_fixtures.h"

namespace atom::grammar {
namespace {

using testing::HasSubstr;

// S -> '(' S ')' | 'x'
Grammar Nested() {
  GrammarBuilder builder(100);
  const uint32_t rule = builder.AddRule("nested");
  const uint32_t inner = builder.AddState();
  const uint32_t after = builder.AddState();
  const uint32_t end = builder.AddState();
  builder.AddByte(builder.StartOf(rule), '(', inner);
  builder.AddCall(inner, rule, after);
  builder.AddByte(after, ')', end);
  builder.AddByte(builder.StartOf(rule), 'x', end);
  builder.MarkFinal(end);
  return *std::move(builder).Finish(rule);
}

TEST(GrammarMatcher, CountsWhatIsOpen) {
  const Grammar grammar = Nested();
  for (size_t open = 0; open < 300; ++open) {
    for (size_t closed = open < 3 ? 0 : open - 3; closed < open + 3; ++closed) {
      const std::string text = std::string(open, '(') + "x" + std::string(closed, ')');
      EXPECT_EQ(Accepts(grammar, text), open == closed) << text;
    }
  }
}

TEST(GrammarMatcher, ForgetsTheContextsThatAreClosed) {
  const Grammar grammar = AnyJsonObject();
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.AcceptAll("{\"a\": ["));
  for (int i = 0; i < 3000; ++i) {
    for (const char byte : std::string_view("{\"b\": [1]}, ")) {
      ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(byte)));
    }
  }
  EXPECT_LT(matcher.stacks().size(), 200u);
  EXPECT_TRUE(matcher.AcceptAll("0]}"));
  EXPECT_TRUE(matcher.CanEnd());
}

TEST(GrammarMatcher, IsAValue) {
  const Grammar grammar = Nested();
  GrammarMatcher first(grammar);
  ASSERT_TRUE(first.AcceptAll("(("));
  GrammarMatcher second = first;
  EXPECT_FALSE(first.Accept('y'));
  EXPECT_FALSE(first.AcceptAll("x)y"));
  EXPECT_TRUE(first.AcceptAll("x))"));
  EXPECT_TRUE(first.CanEnd());
  EXPECT_FALSE(second.CanEnd());
  EXPECT_TRUE(second.AcceptAll("(x)))"));
  EXPECT_TRUE(second.CanEnd());
  first = second;
  EXPECT_TRUE(first.CanEnd());
  EXPECT_FALSE(first.Accept(')'));
}

// What can never end is not offered: 'a' leads to a rule that only calls itself.
TEST(Grammar, CutsWhatCannotEnd) {
  GrammarBuilder builder(100);
  const uint32_t rule = builder.AddRule("root");
  const uint32_t endless = builder.AddRule("endless");
  const uint32_t end = builder.AddState();
  const uint32_t middle = builder.AddState();
  const uint32_t again = builder.AddState();
  builder.AddByte(builder.StartOf(rule), 'a', middle);
  builder.AddCall(middle, endless, end);
  builder.AddByte(builder.StartOf(rule), 'b', end);
  builder.AddByte(builder.StartOf(endless), 'c', again);
  builder.AddCall(again, endless, again);
  builder.MarkFinal(end);
  const Result<Grammar> grammar = std::move(builder).Finish(rule);
  ASSERT_TRUE(grammar.ok());
  EXPECT_EQ(NextBytes(GrammarMatcher(*grammar)), "b");
}

TEST(Grammar, RefusesRulesThatBeginWithThemselves) {
  GrammarBuilder builder(100);
  const uint32_t first = builder.AddRule("first");
  const uint32_t second = builder.AddRule("second");
  const uint32_t end = builder.AddState();
  builder.AddByte(builder.StartOf(first), 'a', end);
  builder.AddCall(builder.StartOf(first), second, end);
  builder.AddCall(builder.StartOf(second), first, end);
  builder.MarkFinal(end);
  const Result<Grammar> grammar = std::move(builder).Finish(first);
  ASSERT_FALSE(grammar.ok());
  EXPECT_THAT(grammar.error().message, HasSubstr("leads back"));
}

TEST(Grammar, StopsAtItsLimit) {
  GrammarBuilder builder(10);
  const uint32_t rule = builder.AddRule("root");
  for (int i = 0; i < 8; ++i) builder.AddState();
  EXPECT_EQ(builder.state_count(), 10u);
  EXPECT_FALSE(builder.full());
  EXPECT_EQ(builder.AddState(), Grammar::kEnd);
  EXPECT_TRUE(builder.full());
  GrammarBuilder edges(10);
  const uint32_t start = edges.StartOf(edges.AddRule("root"));
  for (int i = 0; i < 80; ++i) edges.AddByte(start, 'a', start);
  EXPECT_FALSE(edges.full());
  edges.AddByte(start, 'a', start);
  EXPECT_TRUE(edges.full());
  EXPECT_EQ(rule, 0u);
}

}  // namespace
}  // namespace atom::grammar
