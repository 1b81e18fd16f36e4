#include "atom/tokenizer/byte_level.h"

#include "atom/tokenizer/byte_alphabet.h"
#include "atom/tokenizer/split_pattern.h"

namespace atom::tokenizer {

void ByteLevel::Cut(const Word& word, WordList& list) const {
  Word whole = word;
  if (add_prefix_space && !word.text.starts_with(' ')) {
    whole.text = list.rewritten.emplace_back(" ").append(word.text);
  }
  const size_t begin = list.words.size();
  if (use_regex) {
    SplitWords(SplitPattern::kGpt2, whole, list.words);
  } else {
    list.words.push_back(whole);
  }
  for (size_t i = begin; spells && i < list.words.size(); ++i) {
    list.words[i].text = list.rewritten.emplace_back(ToByteAlphabet(list.words[i].text));
  }
}

}  // namespace atom::tokenizer
