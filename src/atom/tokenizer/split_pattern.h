// The regular expressions that byte-level tokenizers cut a text into words with, written by hand:
// each known expression is one function. An expression is recognized by its exact spelling, since
// one that is nearly right gives ids that look fluent and are wrong.
//
// Promises: the words, one after the other, are the text; linear time; any bytes are accepted
// (ill-formed ones count as \p{So} would: neither letter, number nor space).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace atom::tokenizer {

enum class SplitPattern {
  kGpt2,
  kLlama3,
  kSingleDigits,  ///< Hugging Face's "Digits": numbers apart from the rest, each by itself
  kDigitRuns,     ///< likewise, numbers that follow each other together
};

/// The pattern that `regex` spells, if it is a known one. (The last two have none.)
std::optional<SplitPattern> FindSplitPattern(std::string_view regex);

/// "GPT-2, Llama 3": for the sentence that refuses another.
std::string KnownSplitPatterns();

/// Appends the words of `text`.
void SplitWords(SplitPattern pattern, std::string_view text, std::vector<std::string_view>& words);

}  // namespace atom::tokenizer
