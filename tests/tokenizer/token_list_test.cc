#include "atom/tokenizer/token_list.h"

#include <gtest/gtest.h>

namespace atom::tokenizer {
namespace {

TEST(TokenList, GivesTokensById) {
  TokenList tokens("f");
  EXPECT_TRUE(tokens.Add(1, "b").ok());
  EXPECT_TRUE(tokens.Add(0, "a").ok());
  EXPECT_TRUE(tokens.Add(1, "b").ok()) << "the same again";
  EXPECT_EQ(tokens.Find("b"), 1);
  EXPECT_EQ(tokens.Find("c"), std::nullopt);
  EXPECT_EQ(*tokens.Finish(), (std::vector<std::string>{"a", "b"}));
}

TEST(TokenList, RefusesContradictions) {
  TokenList tokens("f");
  ASSERT_TRUE(tokens.Add(0, "a").ok());
  EXPECT_EQ(tokens.Add(1, "a").error().message, "f: token 'a' has two ids, 0 and 1");
  EXPECT_EQ(tokens.Add(0, "b").error().message, "f: two tokens, 'a' and 'b', have the id 0");
  EXPECT_EQ(tokens.Add(-1, "c").error().message,
            "f: token 'c' has id -1, expected a number from 0 to 2147483647");
  EXPECT_EQ(tokens.Add(int64_t{1} << 40, "c").error().message,
            "f: token 'c' has id 1099511627776, expected a number from 0 to 2147483647");
  EXPECT_EQ(tokens.Add(5, "").error().message, "f: the token with id 5 is empty");
  EXPECT_EQ(tokens.Add(5, std::string(10 << 20, 'x')).error().message,
            "f: the token with id 5 is 10485760 bytes long, expected at most 1024");
}

TEST(TokenList, RefusesGaps) {
  TokenList tokens("f");
  ASSERT_TRUE(tokens.Add(0, "a").ok());
  ASSERT_TRUE(tokens.Add(2147483647, "z").ok());
  EXPECT_EQ(tokens.Finish().error().message,
            "f: no token has the id 1, but token 'z' has 2147483647; expected ids 0 to 1");
  EXPECT_EQ(TokenList("f").Finish().error().message, "f: has no tokens");
}

}  // namespace
}  // namespace atom::tokenizer
