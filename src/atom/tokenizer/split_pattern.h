// The regular expressions that byte-level tokenizers cut a text into words with, written by hand:
// each known expression is one function, many times as fast as the general engine (regex.h), which
// runs all others. An expression is recognized by its exact spelling.
//
// Promises: the words, one after the other, are the text; linear time; any bytes are accepted
// (ill-formed ones count as \p{So} would: neither letter, number nor space).
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "atom/tokenizer/words.h"

namespace atom::tokenizer {

enum class SplitPattern {
  kGpt2,
  kLlama3,
  kQwen2,         ///< Llama 3's but for numbers, of which each character is a word
  kSingleDigits,  ///< Hugging Face's "Digits": numbers apart from the rest, each by itself
  kDigitRuns,     ///< likewise, numbers that follow each other together
};

/// The pattern that `regex` spells, if it is a known one. (The last two have none.)
std::optional<SplitPattern> FindSplitPattern(std::string_view regex);

/// Appends the words of `word`.
void SplitWords(SplitPattern pattern, const Word& word, std::vector<Word>& words);

}  // namespace atom::tokenizer
