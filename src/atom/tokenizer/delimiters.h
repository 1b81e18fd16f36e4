// Cutting a text at delimiters, the operation that most pre-tokenizers are: what delimits (a
// regular expression, a string, a kind of character) is one question, what becomes of it another.
//
//   text ─ find delimiters ─ pieces ─ JoinPieces ─ words
//
// Promises: the words are those of Hugging Face's five behaviors; none is empty.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/tokenizer/words.h"

namespace atom::tokenizer {

enum class DelimiterBehavior {
  kRemoved,             ///< delimiters are dropped
  kIsolated,            ///< each is a word
  kMergedWithPrevious,  ///< each joins what comes before it, but for another delimiter
  kMergedWithNext,      ///< each joins what comes after it, likewise
  kContiguous,          ///< delimiters that touch are one word
};

std::string_view NameOf(DelimiterBehavior behavior);
std::optional<DelimiterBehavior> FindDelimiterBehavior(std::string_view name);
/// "Removed, Isolated, …": for the sentence that refuses another.
std::string KnownDelimiterBehaviors();

/// A part of a text: a delimiter, or what lies between two. Pieces in order are the whole text.
struct Piece {
  std::string_view text;  ///< a delimiter may be empty
  bool delimiter;
};

/// Appends the words that `pieces`, those of `word`, become.
void JoinPieces(const std::vector<Piece>& pieces, DelimiterBehavior behavior, const Word& word,
                std::vector<Word>& words);

}  // namespace atom::tokenizer
