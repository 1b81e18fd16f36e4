// The pre-tokenizer Metaspace, as Llama 2 and Mistral have it: a space is written "▁", a text may
// get one in front, and each may start a word.
//
// Promises: where Metaspace is the only step, the ▁ is added also before a text that begins with a
// space, as SentencePiece does. (Hugging Face's Metaspace leaves it out there: the one space is
// lost on decoding, and ids differ from those of the tokenizer.model that the file was converted
// from.)
#pragma once

#include <string>
#include <string_view>

#include "atom/tokenizer/words.h"

namespace atom::tokenizer {

/// U+2581, the space of these vocabularies.
inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";

/// `text` with `to` for every `from`. REQUIRES: `from` is not empty.
std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to);
/// `text` with a space for every ▁.
std::string RestoreSpaces(std::string_view text);

enum class MetaspacePrefix {
  kNever,
  kFirst,   ///< before the run that starts the text
  kAlways,  ///< before every run that does not begin with a space
};

struct Metaspace {
  std::string replacement{kMetaspace};  ///< one character
  MetaspacePrefix prefix = MetaspacePrefix::kNever;
  bool split = false;              ///< every ▁ starts a word of its own; else the run is one word
  bool keeps_first_space = false;  ///< the prefix comes before a text that begins with a space, too

  /// Appends the words of `word`.
  void Cut(const Word& word, WordList& list) const;

 private:
  bool AddsPrefix(std::string_view text, bool first) const;
};

}  // namespace atom::tokenizer
