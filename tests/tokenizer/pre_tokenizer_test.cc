#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "atom/tokenizer/pre_tokenizer_json.h"
#include "atom/tokenizer/split_pattern.h"
#include "atom/tokenizer/unicode.h"

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

using Steps = std::vector<PreTokenizer>;

// A step of a tokenizer.json, which may be a Sequence.
Result<Steps> ParseSteps(const json& step) { return ParsePreTokenizers(step, "t"); }

Result<std::vector<std::string>> Cut(const Steps& steps, std::string_view text, bool first = true) {
  RegexSteps budget(text.size());
  WordList list;
  const Status cut = CutWords(steps, text, first, budget, list);
  if (!cut.ok()) return cut.error();
  std::vector<std::string> words;
  for (const Word& word : list.words) words.emplace_back(word.text);
  return words;
}

json Words(const Steps& steps, const std::string& text) {
  const auto words = Cut(steps, text);
  return words.ok() ? json(*words) : json(words.error().message);
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
      if (one.at("words")[i].is_null()) continue;
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
  std::string qwen2 = llama3;
  qwen2.erase(qwen2.find("{1,3}"), 5);
  for (const std::string& regex : {gpt2, llama3, qwen2}) {
    const auto known = ParseSteps(SplitStep(regex));
    ASSERT_TRUE(known.ok() && std::holds_alternative<SplitPattern>(known->front()));
    const auto steps = ParseSteps(SplitStep("(?:" + regex + ")"));
    ASSERT_TRUE(steps.ok() && std::holds_alternative<DelimiterCut>(steps->front()));
    for (int round = 0; round < 3000; ++round) {
      std::string text;
      for (size_t i = random() % 12; i > 0; --i) text += parts[random() % parts.size()];
      const auto words = Cut(*steps, text);
      ASSERT_TRUE(words.ok());
      ASSERT_EQ(*words, *Cut(*known, text)) << json(ToValidUtf8(text));
    }
  }
}

TEST(PreTokenizer, IllFormedBytesStay) {
  const auto runs = ParseSteps({{"type", "Whitespace"}});
  EXPECT_THAT(*Cut(*runs, "a\xFF\xE2\x82 b"), ElementsAre("a", "\xFF\xE2\x82", "b"));
  const auto split = ParseSteps(SplitStep(R"(\p{L})"));
  EXPECT_THAT(*Cut(*split, "\xE2\x82 a\xFF"), ElementsAre("\xE2\x82 ", "a", "\xFF"));
}

TEST(PreTokenizer, RefusesWhatIsWrong) {
  const auto refusal = [](const json& step) {
    const auto steps = ParseSteps(step);
    return steps.ok() ? "" : steps.error().message;
  };
  json step = SplitStep("a");
  step["behavior"] = "Lost";
  EXPECT_EQ(
      refusal(step),
      "t Split: field 'behavior' is 'Lost', expected one of Removed, Isolated, MergedWithPrevious, "
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
  EXPECT_EQ(refusal({{"type", "Digit"}}),
            "t 'Digit' is not known; known are Sequence, Split, Punctuation, Digits, Whitespace, "
            "WhitespaceSplit, CharDelimiterSplit, UnicodeScripts, Metaspace, ByteLevel");
  EXPECT_THAT(refusal({{"type", "Metaspace"}, {"replacement", ""}}),
              HasSubstr("field 'replacement' is '', expected one character"));
}

// Steps of a text are shared by all words of all expressions, however many there are.
// What is left at the start of a text counts as its start, what was cut off before it does not.
TEST(PreTokenizer, WordsKnowWhetherTheyStartTheText) {
  const json metaspace = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}, {"split", false}};
  const auto steps = ParseSteps(
      {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace}}});
  EXPECT_THAT(*Cut(*steps, "a b"), ElementsAre("▁a", "b"));
  EXPECT_THAT(*Cut(*steps, " a b"), ElementsAre("a", "b"));
  EXPECT_THAT(*Cut(*steps, "a b", false), ElementsAre("a", "b"));
}

TEST(PreTokenizer, WordsShareTheStepsOfTheirText) {
  const json step = {{"type", "Sequence"},
                     {"pretokenizers", {SplitStep(".{16}"), SplitStep("(?:a|a){12}b|a")}}};
  const auto steps = ParseSteps(step);
  ASSERT_TRUE(steps.ok()) << steps.error().message;
  EXPECT_TRUE(Cut(*steps, std::string(64, 'a')).ok());
  const auto words = Cut(*steps, std::string(20'000, 'a'));
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
