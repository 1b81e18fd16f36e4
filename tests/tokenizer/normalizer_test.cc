#include "atom/tokenizer/normalizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// `step` of a tokenizer.json may be a Sequence.
Result<NormalizedText> Rewrite(const json& step, std::string_view text) {
  const auto steps = ParseNormalizers(step, "t");
  if (!steps.ok()) return steps.error();
  RegexSteps budget(text.size());
  return Normalize(*steps, text, budget);
}

std::string Apply(const json& step, std::string_view text) {
  const Result<NormalizedText> normalized = Rewrite(step, text);
  return normalized.ok() ? normalized->text : normalized.error().message;
}

json Replace(const json& pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", pattern}, {"content", content}};
}

// Expected values: Hugging Face's tokenizers, by tools/make_tokenizer_golden.py.
TEST(Normalizer, RewritesAsHuggingFaceDoes) {
  const json golden = json::parse(
      ReadAll(std::filesystem::path(ATOM_SOURCE_DIR) / "tests/golden/tokenizer/normalizers.json"));
  const json& texts = golden.at("texts");
  for (const json& one : golden.at("cases")) {
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(json(Apply(one.at("step"), std::string(texts[i]))), one.at("normalized")[i])
          << one.at("step") << "\n"
          << texts[i];
    }
  }
}

TEST(Normalizer, IllFormedBytesStay) {
  EXPECT_EQ(Apply({{"type", "NFC"}},
                  "e\u0301\xFF\xE2\x82"
                  "e\u0301"),
            "\u00e9\xFF\xE2\x82\u00e9");
  EXPECT_EQ(Apply({{"type", "NFD"}}, "\xFF\u0301"), "\xFF\u0301");
  EXPECT_EQ(Apply({{"type", "Lowercase"}}, "A\xF0\x9FÄ"), "a\xF0\x9Fä");
  EXPECT_EQ(Apply({{"type", "StripAccents"}}, "\xE2\x82\u0301"), "\xE2\x82");
  EXPECT_EQ(Apply({{"type", "Strip"}}, " \xFF "), "\xFF");
  EXPECT_EQ(Apply(Replace({{"Regex", "."}}, "-"), "a\xFF\xE2\x82"), "---");
}

TEST(Normalizer, TextsThatGrowTooLongAreErrors) {
  json step = {{"type", "Sequence"}, {"normalizers", json::array()}};
  for (int i = 0; i < 60; ++i) step["normalizers"].push_back(Replace({{"String", "a"}}, "aa"));
  EXPECT_EQ(
      Apply(step, std::string(100, 'a')),
      "the normalizer makes more than 7296 bytes of a text, expected at most 32 times as many as "
      "it has");
  const json prepend = {{"type", "Prepend"}, {"prepend", std::string(5000, 'x')}};
  EXPECT_THAT(Apply(prepend, "a"), HasSubstr("makes more than 4128 bytes of a text"));
  EXPECT_EQ(Apply(prepend, ""), "");
  EXPECT_THAT(Apply(Replace({{"String", "b"}}, std::string(5000, 'x')), "b"),
              HasSubstr("more than"));
}

// Hugging Face's alignment: whether the first character still stands for the text's first one.
TEST(Normalizer, KeepsTheStartOrLosesIt) {
  const auto keeps = [](const json& step, std::string_view text) {
    return Rewrite(step, text)->keeps_start;
  };
  const json strip = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}};
  EXPECT_TRUE(keeps(strip, "a "));
  EXPECT_FALSE(keeps(strip, " a"));
  EXPECT_FALSE(keeps({{"type", "StripAccents"}}, "\u0301a"));
  EXPECT_TRUE(keeps({{"type", "StripAccents"}}, "a\u0301"));
  EXPECT_TRUE(keeps({{"type", "NFC"}}, "e\u0301"));
  EXPECT_TRUE(keeps(Replace({{"String", " "}}, "▁"), " a"));
  EXPECT_TRUE(keeps(Replace({{"String", "bb"}}, "x"), "abb"));
  EXPECT_FALSE(keeps(Replace({{"String", "bb"}}, "x"), "bb"));
  EXPECT_FALSE(keeps(Replace({{"String", "b"}}, ""), "bb"));
  EXPECT_TRUE(keeps(Replace({{"Regex", "^"}}, "x"), "bb"));
  const json prepend = {{"type", "Prepend"}, {"prepend", "▁"}};
  EXPECT_TRUE(keeps({{"type", "Sequence"}, {"normalizers", {strip, prepend}}}, " a"));
}

TEST(Normalizer, RefusesWhatIsWrong) {
  EXPECT_THAT(Apply(Replace({{"String", ""}}, "a"), "b"),
              HasSubstr("t Replace: field 'String' of the pattern is empty"));
  EXPECT_THAT(Apply(Replace({{"Regex", "["}}, "a"), "b"), HasSubstr("has a '[' without ']'"));
  EXPECT_THAT(Apply(Replace({{"Regex", "(a|a)*[^ab]"}}, "x"),
                    fmt::format("{}bx", std::string(20'000, 'a'))),
              HasSubstr("it takes too many steps"));
  EXPECT_THAT(Apply({{"type", "Prepend"}}, "b"), HasSubstr("'prepend' is missing"));
  EXPECT_THAT(Apply({{"type", "nfc"}}, "b"),
              HasSubstr("t 'nfc' is not known; known are Sequence, NFC, NFD, NFKC, NFKD"));
}

}  // namespace
}  // namespace atom::tokenizer
