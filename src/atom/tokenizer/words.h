// The words of a text while it is being cut: what the steps of a pre-tokenizer pass on to each
// other (pre_tokenizer.h), and the model encodes.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace atom::tokenizer {

struct Word {
  std::string_view text;  ///< not empty; of the text, or of WordList::rewritten
  bool first;             ///< it begins where the text does

  friend bool operator==(const Word&, const Word&) = default;
};

struct WordList {
  std::vector<Word> words;
  std::deque<std::string> rewritten;  ///< the bytes of words that a step wrote anew
};

}  // namespace atom::tokenizer
