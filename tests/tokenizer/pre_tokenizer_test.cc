#include "atom/tokenizer/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "atom/tokenizer/split_pattern.h"
#include "atom/tokenizer/unicode.h"

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// A step of a tokenizer.json, which may be a Sequence.
Result<std::vector<PreTokenizer>> ParseSteps(const json& step) {
  const std::string type = step.at("type");
  std::vector<PreTokenizer> steps;
  for (const json& member : type == "Sequence" ? step.at("pretokenizers") : json::array({step})) {
    Result<PreTokenizer> parsed = ParsePreTokenizer(member, std::string(member.at("type")), "t");
    if (!parsed.ok()) return parsed.error();
    steps.push_back(*std::move(parsed));
  }
  return steps;
}

json Words(const std::vector<PreTokenizer>& steps, const std::string& text) {
  const auto words = CutWords(steps, text);
  if (!words.ok()) return words.error().message;
  json list = json::array();
  for (const std::string_view word : *words) list.push_back(std::string(word));
  return list;
}

json SplitStep(std::string_view regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}};
}

// Expected values: Hugging Face's tokenizers, by tools/make_tokenizer_golden.py.
TEST(PreTokenizer, CutsAsHuggingFaceDoes) {
  const json golden = json::parse(ReadAll(std::filesystem::path(ATOM_SOURCE_DIR) /
                                          "tests/golden/tokenizer/pre_tokenizers.json"));
  const json& texts = golden.at("texts");
  for (const json& one : golden.at("cases")) {
    const auto steps = ParseSteps(one.at("step"));
    ASSERT_TRUE(steps.ok()) << steps.error().message;
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(Words(*steps, texts[i]), one.at("words")[i]) << one.at("step") << "\n" << texts[i];
    }
  }
}

// The functions written by hand and the same expressions run by the library.
TEST(PreTokenizer, KnownPatternsCutAsTheirExpressions) {
  const std::string gpt2 =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const std::string llama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
      R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::vector<std::string> parts = {
      "a",      "S",  "'", "'LL",  "t", " ", "  ", "\n", "\r",       "1",      "²",     "é",
      "\u3000", "漢", "!", "\xFF", "ſ", "…", "😀",  "\t", "\xE2\x82", "\u00a0", "\u0301"};
  std::mt19937 random(3);
  for (const std::string& regex : {gpt2, llama3}) {
    const auto steps = ParseSteps(SplitStep(regex));
    ASSERT_TRUE(steps.ok());
    for (int round = 0; round < 3000; ++round) {
      std::string text;
      for (size_t i = random() % 12; i > 0; --i) text += parts[random() % parts.size()];
      std::vector<std::string_view> expected;
      SplitWords(*FindSplitPattern(regex), text, expected);
      const auto words = CutWords(*steps, text);
      ASSERT_TRUE(words.ok());
      ASSERT_EQ(*words, expected) << json(ToValidUtf8(text));
    }
  }
}

TEST(PreTokenizer, IllFormedBytesStay) {
  const auto runs = ParseSteps({{"type", "Whitespace"}});
  EXPECT_THAT(*CutWords(*runs, "a\xFF\xE2\x82 b"), ElementsAre("a", "\xFF\xE2\x82", "b"));
  const auto split = ParseSteps(SplitStep(R"(\p{L})"));
  EXPECT_THAT(*CutWords(*split, "\xE2\x82 a\xFF"), ElementsAre("\xE2\x82 ", "a", "\xFF"));
}

TEST(PreTokenizer, RefusesWhatIsWrong) {
  const auto refusal = [](const json& step) {
    const auto steps = ParseSteps(step);
    return steps.ok() ? "" : steps.error().message;
  };
  json step = SplitStep("a");
  step["behavior"] = "Lost";
  EXPECT_EQ(refusal(step),
            "t: field 'behavior' is 'Lost', expected one of Removed, Isolated, MergedWithPrevious, "
            "MergedWithNext, Contiguous");
  step.erase("behavior");
  EXPECT_THAT(refusal(step), HasSubstr("field 'behavior' is missing, expected one of Removed"));
  step = SplitStep("a");
  step["pattern"] = {{"String", ""}};
  EXPECT_THAT(refusal(step), HasSubstr("field 'String' of the pattern is empty"));
  step["pattern"] = json::object();
  EXPECT_THAT(refusal(step), HasSubstr("'Regex' is missing"));
  EXPECT_THAT(refusal(SplitStep("a(")), HasSubstr("'a(' has a '(' without ')'"));
  EXPECT_THAT(refusal({{"type", "CharDelimiterSplit"}, {"delimiter", "ab"}}),
              HasSubstr("field 'delimiter' is 'ab', expected one character"));
  EXPECT_FALSE(IsPreTokenizer("Digit"));
}

// Steps of a text are shared by all words of all expressions, however many there are.
TEST(PreTokenizer, WordsShareTheStepsOfTheirText) {
  const json step = {{"type", "Sequence"},
                     {"pretokenizers", {SplitStep(".{16}"), SplitStep("(?:a|a){12}b|a")}}};
  const auto steps = ParseSteps(step);
  ASSERT_TRUE(steps.ok()) << steps.error().message;
  EXPECT_TRUE(CutWords(*steps, std::string(64, 'a')).ok());
  const auto words = CutWords(*steps, std::string(20'000, 'a'));
  ASSERT_FALSE(words.ok());
  EXPECT_THAT(words.error().message, HasSubstr("fails on a text of 16 bytes: it takes too many"));
}

TEST(PreTokenizer, ManyThreadsShareOne) {
  const auto steps = ParseSteps(SplitStep(R"(\p{L}+|\s+(?!\S)|[^\s\p{L}]+)"));
  ASSERT_TRUE(steps.ok());
  const std::string text = "The naïve  words, 漢字 and 1,234 more… ";
  const json expected = Words(*steps, text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(8, 0);
  for (size_t i = 0; i < wrong.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 200; ++round) wrong[i] += Words(*steps, text) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

}  // namespace
}  // namespace atom::tokenizer
