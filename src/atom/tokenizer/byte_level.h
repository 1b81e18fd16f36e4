// The pre-tokenizer ByteLevel, as GPT-2 and Llama 3 have it: the bytes of a word are spelled in the
// byte alphabet (byte_alphabet.h), where a space is "Ġ". Where it is the last step the model takes
// the raw bytes instead, which is the same and faster (ill-formed UTF-8 survives either way).
#pragma once

#include "atom/tokenizer/words.h"

namespace atom::tokenizer {

struct ByteLevel {
  bool add_prefix_space = false;  ///< a space before each word that does not begin with one
  bool use_regex = true;          ///< cut at GPT-2's expression
  bool spells = true;             ///< else words stay raw bytes

  /// Appends the words of `word`.
  void Cut(const Word& word, WordList& list) const;
};

}  // namespace atom::tokenizer
