#include "atom/tokenizer/split_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace atom::tokenizer {
namespace {

using testing::ElementsAre;

std::vector<std::string> Split(SplitPattern pattern, std::string_view text) {
  std::vector<Word> words;
  SplitWords(pattern, {text, true}, words);
  std::vector<std::string> texts;
  for (const Word& word : words) texts.emplace_back(word.text);
  return texts;
}

TEST(FindSplitPattern, WantsTheExactSpelling) {
  const std::string gpt2 =
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  const std::string llama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  EXPECT_EQ(FindSplitPattern(gpt2), SplitPattern::kGpt2);
  EXPECT_EQ(FindSplitPattern(llama3), SplitPattern::kLlama3);
  // Qwen 2's: Llama 3's but for the digits.
  std::string qwen2 = llama3;
  qwen2.erase(qwen2.find("{1,3}"), 5);
  EXPECT_EQ(FindSplitPattern(qwen2), SplitPattern::kQwen2);
  EXPECT_EQ(FindSplitPattern(llama3 + "|x"), std::nullopt);
  EXPECT_EQ(FindSplitPattern(""), std::nullopt);
}

// Expected values: Digits of Hugging Face's `tokenizers`.
TEST(SplitWords, Digits) {
  EXPECT_THAT(Split(SplitPattern::kSingleDigits, "ab12 \u0663x\u00bd"),
              ElementsAre("ab", "1", "2", " ", "\u0663", "x", "\u00bd"));
  EXPECT_THAT(Split(SplitPattern::kDigitRuns, "12ab 345"), ElementsAre("12", "ab ", "345"));
}

// Expected values: the regular expressions, run by Python's `regex`.
TEST(SplitWords, Gpt2) {
  const auto split = [](std::string_view text) { return Split(SplitPattern::kGpt2, text); };
  EXPECT_THAT(split("Hello world's  end"), ElementsAre("Hello", " world", "'s", " ", " end"));
  EXPECT_THAT(split("I'LL we'll 'tis"), ElementsAre("I", "'", "LL", " we", "'ll", " '", "tis"));
  EXPECT_THAT(split("'ve'ver"), ElementsAre("'ve", "'ve", "r"));
  EXPECT_THAT(split("a1234 5.6"), ElementsAre("a", "1234", " 5", ".", "6"));
  EXPECT_THAT(split("x \n\n y"), ElementsAre("x", " \n\n", " y"));
  EXPECT_THAT(split("x \n\ny"), ElementsAre("x", " \n", "\n", "y"));
  EXPECT_THAT(split("x\ty  "), ElementsAre("x", "\t", "y", "  "));
  EXPECT_THAT(split("\u00a0a \u3000"), ElementsAre("\u00a0", "a", " \u3000"));
  EXPECT_THAT(split(" ?!…½"), ElementsAre(" ?!…", "½"));
  EXPECT_THAT(split(" "), ElementsAre(" "));
  EXPECT_THAT(split(""), ElementsAre());
}

TEST(SplitWords, Llama3) {
  const auto split = [](std::string_view text) { return Split(SplitPattern::kLlama3, text); };
  EXPECT_THAT(split("Hello world's  end"), ElementsAre("Hello", " world", "'s", " ", " end"));
  EXPECT_THAT(split("I'LL we'Ve 'tis"), ElementsAre("I", "'LL", " we", "'Ve", " '", "tis"));
  EXPECT_THAT(split("it'ſ"), ElementsAre("it", "'ſ")) << "the long s is an s";
  EXPECT_THAT(split("a1234567 8"), ElementsAre("a", "123", "456", "7", " ", "8"));
  EXPECT_THAT(split("(word\tword"), ElementsAre("(word", "\tword"));
  EXPECT_THAT(split("((word"), ElementsAre("((", "word"));
  EXPECT_THAT(split("end.\n\nNext"), ElementsAre("end", ".\n\n", "Next"));
  EXPECT_THAT(split("x \n \n  y"), ElementsAre("x", " \n \n", " ", " y"));
  EXPECT_THAT(split("x\r\n"), ElementsAre("x", "\r\n"));
  EXPECT_THAT(split("x   "), ElementsAre("x", "   "));
  EXPECT_THAT(split("x \t!"), ElementsAre("x", " ", "\t", "!"));
  EXPECT_THAT(split("\u00a0a \u00a01"), ElementsAre("\u00a0a", " ", "\u00a0", "1"));
  EXPECT_THAT(split(""), ElementsAre());
}

TEST(SplitWords, OnlyTheFirstWordIsFirst) {
  std::vector<Word> words;
  SplitWords(SplitPattern::kGpt2, {"a b", true}, words);
  SplitWords(SplitPattern::kGpt2, {"c", false}, words);
  EXPECT_THAT(words, ElementsAre(Word{"a", true}, Word{" b", false}, Word{"c", false}));
}

TEST(SplitWords, LosesNothingWhateverTheBytes) {
  std::mt19937 random(1);
  const std::string alphabet = "ab1 \n\r\t'sS.\xC3\xA9\xE2\x82\xFF\x80\xF0";
  for (int round = 0; round < 5000; ++round) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    for (const SplitPattern pattern :
         {SplitPattern::kGpt2, SplitPattern::kLlama3, SplitPattern::kQwen2}) {
      std::string joined;
      for (const std::string& word : Split(pattern, text)) {
        EXPECT_FALSE(word.empty());
        joined += word;
      }
      ASSERT_EQ(joined, text);
    }
  }
}

}  // namespace
}  // namespace atom::tokenizer
