// The pre-tokenizers that cut at delimiters: Split, Punctuation, Whitespace, WhitespaceSplit,
// CharDelimiterSplit. Each is something that delimits and what becomes of the delimiters
// (delimiters.h).
//
// Promises: words as Hugging Face cuts them, in linear time, or, where a regular expression is out
// of the file, within the steps that a text is given (regex.h).
#pragma once

#include <string_view>
#include <utility>
#include <variant>

#include "atom/core/result.h"
#include "atom/tokenizer/delimiters.h"
#include "atom/tokenizer/regex.h"
#include "atom/tokenizer/text_pattern.h"
#include "atom/tokenizer/words.h"

namespace atom::tokenizer {

class DelimiterCut {
 public:
  /// Kinds of characters that delimit by themselves.
  enum class CharacterKind {
    kPunctuation,  ///< \p{P} and ASCII's symbols
    kSpace,        ///< \s
  };
  /// A run of word characters, or one of characters that are neither those nor spaces.
  struct WordRuns {};
  using Delimiter = std::variant<TextPattern, CharacterKind, WordRuns>;

  DelimiterCut(Delimiter delimiter, DelimiterBehavior behavior, bool invert = false)
      : delimiter_(std::move(delimiter)), behavior_(behavior), invert_(invert) {}

  /// Appends the words of `word`.
  Status Cut(const Word& word, RegexSteps& steps, WordList& list) const;

 private:
  Delimiter delimiter_;
  DelimiterBehavior behavior_;
  bool invert_;  // delimiters are what lies between the matches
};

}  // namespace atom::tokenizer
