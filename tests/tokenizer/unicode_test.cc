#include "atom/tokenizer/unicode.h"

#include <gtest/gtest.h>

namespace atom::tokenizer {
namespace {

TEST(NextChar, ReadsEveryLength) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99";
  const char32_t codes[] = {U'a', U'é', U'€', U'🦙'};
  size_t pos = 0;
  for (int i = 0; i < 4; ++i) {
    const Utf8Char next = NextChar(text, pos);
    EXPECT_TRUE(next.code == codes[i]) << i;
    EXPECT_EQ(next.length, i + 1);
    EXPECT_EQ(next.status, Utf8Status::kValid);
    pos += next.length;
  }
  EXPECT_EQ(pos, text.size());
}

// What Python gives for bytes.decode("utf-8", "replace"): one U+FFFD for each maximal part.
TEST(ToValidUtf8, ReplacesMaximalIllFormedParts) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(ToValidUtf8("plain"), "plain");
  EXPECT_EQ(ToValidUtf8("a\xFFz"), "a" + r + "z");
  EXPECT_EQ(ToValidUtf8("\xC0\xAF"), r + r) << "an overlong slash";
  EXPECT_EQ(ToValidUtf8("\xED\xA0\x80"), r + r + r) << "a surrogate";
  EXPECT_EQ(ToValidUtf8("\xF4\x90\x80\x80"), r + r + r + r) << "beyond U+10FFFF";
  EXPECT_EQ(ToValidUtf8("\xF0\x9F\xA6z"), r + "z") << "three bytes of four, one part";
  EXPECT_EQ(ToValidUtf8("\xF0\x9F\xA6"), r);
  EXPECT_EQ(ToValidUtf8("\x80\xE2\x82\xAC"), r + "€");
}

TEST(FindInvalid, FindsTheFirst) {
  EXPECT_EQ(FindInvalid("héllo", 0), 6u);
  EXPECT_EQ(FindInvalid("h\xC3", 0), 1u);
  EXPECT_EQ(FindInvalid("\xFF\xFF", 1), 1u);
  EXPECT_EQ(FindInvalid("", 0), 0u);
}

TEST(IncompleteTail, HoldsBackWhatMayBecomeValid) {
  EXPECT_EQ(IncompleteTail("abc"), 0u);
  EXPECT_EQ(IncompleteTail("a\xC3"), 1u);
  EXPECT_EQ(IncompleteTail("a\xF0\x9F"), 2u);
  EXPECT_EQ(IncompleteTail("a\xF0\x9F\xA6"), 3u);
  EXPECT_EQ(IncompleteTail("a\xF0\x9F\xA6\x99"), 0u);
  EXPECT_EQ(IncompleteTail("a\xE0\x80"), 0u) << "never valid";
  EXPECT_EQ(IncompleteTail("a\x80"), 0u);
}

TEST(ClassOf, FollowsTheGeneralCategories) {
  for (const char32_t letter : {U'a', U'Z', U'é', U'я', U'ก', U'中', U'ª', U'ʰ', U'ǅ'}) {
    EXPECT_EQ(ClassOf(letter), CharClass::kLetter) << static_cast<uint32_t>(letter);
  }
  for (const char32_t number : {U'0', U'9', U'½', U'Ⅷ', U'٣', U'²'}) {
    EXPECT_EQ(ClassOf(number), CharClass::kNumber) << static_cast<uint32_t>(number);
  }
  for (const char32_t space : {0x09u, 0x0Bu, 0x0Cu, 0x20u, 0x85u, 0xA0u, 0x1680u, 0x2003u, 0x2028u,
                               0x202Fu, 0x205Fu, 0x3000u}) {
    EXPECT_EQ(ClassOf(space), CharClass::kSpace) << static_cast<uint32_t>(space);
  }
  EXPECT_EQ(ClassOf('\n'), CharClass::kNewline);
  EXPECT_EQ(ClassOf('\r'), CharClass::kNewline);
  // No spaces, though they look or are called so: zero width, and the separators 1C to 1F.
  for (const char32_t other : {0x1Cu, 0x1Fu, 0x200Bu, 0xFEFFu, 0x301u, 0x2581u, 0x1F999u, 0x0u}) {
    EXPECT_EQ(ClassOf(other), CharClass::kOther) << static_cast<uint32_t>(other);
  }
}

TEST(IsWordChar, FollowsRegularExpressions) {
  for (const char32_t word : {U'a', U'7', U'_', U'é', char32_t{0x301}, char32_t{0x200D}, U'ⓐ'}) {
    EXPECT_TRUE(IsWordChar(word)) << static_cast<uint32_t>(word);
  }
  for (const char32_t other : {U' ', U'-', U'½', U'▁', char32_t{0xFFFD}}) {
    EXPECT_FALSE(IsWordChar(other)) << static_cast<uint32_t>(other);
  }
}

TEST(Trim, TakesUnicodeSpaceFromOneEnd) {
  const std::string text = "\u00A0 \ta b\u3000\n";
  EXPECT_EQ(TrimStart(text), "a b\u3000\n");
  EXPECT_EQ(TrimEnd(text), "\u00A0 \ta b");
  EXPECT_EQ(TrimStart(" \n"), "");
  EXPECT_EQ(TrimEnd(" \n"), "");
  EXPECT_EQ(TrimEnd("a\xFF"), "a\xFF");
}

TEST(Capitalize, ChangesEveryLetter) {  // as Python's str.capitalize
  EXPECT_EQ(Capitalize(""), "");
  EXPECT_EQ(Capitalize("the Man in L.A. runs"), "The man in l.a. runs");
  EXPECT_EQ(Capitalize(" The"), " the");
  EXPECT_EQ(Capitalize("éCOLE ÉTÉ"), "École été");
  EXPECT_EQ(Capitalize("ǆABC"), "ǅabc");
  EXPECT_EQ(Capitalize("日本 X"), "日本 x");
}

}  // namespace
}  // namespace atom::tokenizer
