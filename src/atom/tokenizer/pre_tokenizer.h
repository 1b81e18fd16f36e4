// The steps of a tokenizer.json that cut a text into words, as values: Split, Punctuation, Digits,
// Whitespace, WhitespaceSplit, CharDelimiterSplit. Each is something that delimits and what becomes
// of the delimiters (delimiters.h); one table has their names and readers. A Sequence is a list of
// them, each cutting the words of the one before.
//
// Promises: words as Hugging Face cuts them, in linear time, or, where a regular expression is out
// of the file, within the steps that a text is given (regex.h).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/delimiters.h"
#include "atom/tokenizer/regex.h"
#include "atom/tokenizer/text_pattern.h"

namespace atom::tokenizer {

class PreTokenizer {
 public:
  /// Kinds of characters that delimit by themselves.
  enum class CharacterKind {
    kNumber,       ///< \p{N}
    kPunctuation,  ///< \p{P} and ASCII's symbols
    kSpace,        ///< \s
  };
  /// A run of word characters, or one of characters that are neither those nor spaces.
  struct WordRuns {};
  using Delimiter = std::variant<TextPattern, CharacterKind, WordRuns>;

  PreTokenizer(Delimiter delimiter, DelimiterBehavior behavior, bool invert = false)
      : delimiter_(std::move(delimiter)), behavior_(behavior), invert_(invert) {}

  /// Appends the words of `text`, which they point into.
  Status Cut(std::string_view text, RegexSteps& steps, std::vector<std::string_view>& words) const;

 private:
  Delimiter delimiter_;
  DelimiterBehavior behavior_;
  bool invert_;  // delimiters are what lies between the matches
};

/// Whether a step of this "type" is one of those here.
bool IsPreTokenizer(std::string_view type);

/// Reads one step. REQUIRES: IsPreTokenizer(its type). `source` starts the errors' sentences.
Result<PreTokenizer> ParsePreTokenizer(const io::Json& step, std::string_view type,
                                       const std::string& source);

/// The words of `text`, cut by all of `steps` in turn.
Result<std::vector<std::string_view>> CutWords(const std::vector<PreTokenizer>& steps,
                                               std::string_view text);

}  // namespace atom::tokenizer
