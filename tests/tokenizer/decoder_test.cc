#include "atom/tokenizer/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/tokenizer/pre_tokenizer_json.h"

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json Sequence(std::vector<json> steps) { return {{"type", "Sequence"}, {"decoders", steps}}; }

json Replace(std::string_view pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", {{"String", pattern}}}, {"content", content}};
}

json Strip(std::string_view content, int start, int stop) {
  return {{"type", "Strip"}, {"content", content}, {"start", start}, {"stop", stop}};
}

std::string BytesOf(const Decoder& decoder, std::string_view spelling) {
  RegexSteps budget(spelling.size());
  const Result<std::string> bytes = decoder.BytesOf(spelling, budget);
  return bytes.ok() ? *bytes : bytes.error().message;
}

std::string Decode(const json& step, std::string_view spelling) {
  const Result<Decoder> decoder = Decoder::Parse(step, "t");
  return decoder.ok() ? BytesOf(*decoder, spelling) : decoder.error().message;
}

TEST(Decoder, WorksOnEachToken) {
  EXPECT_EQ(Decode({{"type", "ByteLevel"}}, "Ġa\u0122"), " a\x80");
  EXPECT_EQ(Decode({{"type", "ByteLevel"}}, "漢"), "漢") << "no letter of the alphabet";
  EXPECT_EQ(Decode({{"type", "ByteFallback"}}, "<0xE2>"), "\xE2");
  EXPECT_EQ(Decode({{"type", "ByteFallback"}}, "<0xE2>x"), "<0xE2>x");
  EXPECT_EQ(Decode(Replace("▁", " "), "▁a▁"), " a ");
  EXPECT_EQ(Decode({{"type", "Metaspace"}, {"replacement", "▁"}}, "▁a"), " a");
  EXPECT_EQ(Decode(Strip(" ", 1, 2), "  a   "), " a ");
  EXPECT_EQ(Decode(Sequence({Replace("a", "b"), Replace("b", "c")}), "ab"), "cc");
}

TEST(Decoder, MayDropTheSpaceThatATextBeginsWith) {
  const auto strips = [](const json& step) { return Decoder::Parse(step, "t")->strips_space(); };
  const json fuse = {{"type", "Fuse"}};
  EXPECT_FALSE(strips(Strip(" ", 1, 0)));
  EXPECT_TRUE(strips(Sequence({fuse, Strip(" ", 1, 0)})));
  EXPECT_FALSE(strips(Sequence({fuse, Strip(" ", 0, 0)})));
  EXPECT_TRUE(strips({{"type", "Metaspace"}, {"replacement", "▁"}}));
  EXPECT_FALSE(strips({{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "never"}}));
}

// A file without a decoder gets one that undoes what its other steps do.
TEST(Decoder, UndoesSteps) {
  const json metaspace = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}};
  const Decoder spaces = Decoder::Undoing({}, *ParsePreTokenizers(metaspace, "t"), true);
  EXPECT_EQ(BytesOf(spaces, "_a▁"), " a▁");
  EXPECT_EQ(BytesOf(spaces, "<0x5F>"), "_") << "a byte stays";
  EXPECT_TRUE(spaces.strips_space());
  const json byte_level = {{"type", "ByteLevel"}};
  const Decoder bytes = Decoder::Undoing({}, *ParsePreTokenizers(byte_level, "t"), false);
  EXPECT_EQ(BytesOf(bytes, "Ġ<0x5F>"), " <0x5F>");
  EXPECT_FALSE(bytes.strips_space());
  EXPECT_EQ(BytesOf(Decoder::Undoing({}, {}, false), "▁a"), "▁a") << "nothing wrote it";
}

TEST(Decoder, RefusesWhatIsWrong) {
  const json fuse = {{"type", "Fuse"}};
  EXPECT_THAT(Decode(Sequence({fuse, {{"type", "ByteLevel"}}}), ""),
              HasSubstr("t ByteLevel: comes after Fuse"));
  EXPECT_THAT(Decode(Sequence({fuse, Strip(" ", 2, 0)}), ""),
              HasSubstr("takes up to 2 of ' ' from the start and 0 from the end of a text"));
  EXPECT_THAT(Decode(Strip("", 1, 0), ""), HasSubstr("field 'content' is empty"));
  EXPECT_THAT(Decode({{"type", "CTC"}}, ""), HasSubstr("t 'CTC' is not known; known are"));
  EXPECT_THAT(Decode(Replace("a", std::string(600, 'b')), "aaa"), HasSubstr("more than 1024"));
}

}  // namespace
}  // namespace atom::tokenizer
