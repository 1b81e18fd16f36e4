#include "atom/tokenizer/metaspace.h"

#include <algorithm>

namespace atom::tokenizer {

std::string ReplaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced;
  replaced.reserve(text.size() + text.size() / 2);
  for (size_t pos = 0; pos <= text.size();) {
    const size_t found = std::min(text.find(from, pos), text.size());
    replaced.append(text.substr(pos, found - pos));
    if (found == text.size()) break;
    replaced.append(to);
    pos = found + from.size();
  }
  return replaced;
}

std::string RestoreSpaces(std::string_view text) { return ReplaceAll(text, kMetaspace, " "); }

bool Metaspace::AddsPrefix(std::string_view text, bool first) const {
  const bool begins_with_space = text.starts_with(replacement) && !(first && keeps_first_space);
  switch (prefix) {
    case MetaspacePrefix::kNever:
      return false;
    case MetaspacePrefix::kFirst:
      return first && !begins_with_space;
    case MetaspacePrefix::kAlways:
      return !begins_with_space;
  }
  return false;
}

void Metaspace::Cut(const Word& word, WordList& list) const {
  std::string replaced = ReplaceAll(word.text, " ", replacement);
  if (AddsPrefix(replaced, word.first)) replaced.insert(0, replacement);
  const std::string_view text = list.rewritten.emplace_back(std::move(replaced));
  for (size_t begin = 0; begin < text.size();) {
    const size_t end =
        split ? std::min(text.find(replacement, begin + 1), text.size()) : text.size();
    list.words.push_back({text.substr(begin, end - begin), word.first && begin == 0});
    begin = end;
  }
}

}  // namespace atom::tokenizer
