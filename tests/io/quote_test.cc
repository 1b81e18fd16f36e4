#include "atom/io/quote.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace atom::io {
namespace {

TEST(QuoteTest, PlainAndForeignTextStays) {
  EXPECT_EQ(Quote(""), "''");
  EXPECT_EQ(Quote("model.layers.0"), "'model.layers.0'");
  EXPECT_EQ(Quote("é ⁂ 😀"), "'é ⁂ 😀'");
}

TEST(QuoteTest, ControlCharactersAndBrokenUtf8AreSpelled) {
  EXPECT_EQ(Quote("a\nb\tc\x7f"), "'a\\x0ab\\x09c\\x7f'");
  EXPECT_EQ(Quote(std::string_view("\0", 1)), "'\\x00'");
  EXPECT_EQ(Quote("\xff\xc0\xaf"), "'\\xff\\xc0\\xaf'");
  EXPECT_EQ(Quote("\xed\xa0\x80"), "'\\xed\\xa0\\x80'");  // a surrogate
  EXPECT_EQ(Quote("\xf4\x90\x80\x80"), "'\\xf4\\x90\\x80\\x80'");
  EXPECT_EQ(Quote("x\xe2\x82"), "'x\\xe2\\x82'");  // cut
  EXPECT_EQ(Quote("\xe0\x80\x80\xf0\x80\x80\x80"), "'\\xe0\\x80\\x80\\xf0\\x80\\x80\\x80'");
}

TEST(QuoteTest, Bounded) {
  const std::string eighty(80, 'a');
  EXPECT_EQ(Quote(eighty), fmt::format("'{}'", eighty));
  EXPECT_EQ(Quote(eighty + "a"), fmt::format("'{}…'", eighty));
  // A character is never cut in two.
  EXPECT_EQ(Quote(eighty.substr(1) + "éz"), fmt::format("'{}é…'", eighty.substr(1)));
}

}  // namespace
}  // namespace atom::io
