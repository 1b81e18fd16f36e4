// The table with which a SentencePiece model normalizes text: a double-array trie of what is
// replaced, then the replacements, each ended by a zero byte.
//
//   u32 trie bytes │ u32 units … │ "replacement\0replacement\0…"
//   unit: a node — bits 0–7 label, 8 has a value, 9 offset is in 256s, 10–30 offset — or a value
#pragma once

#include <string_view>

namespace atom::tokenizer {

/// Whether no lookup in `charsmap` can leave it. An empty one is fine.
bool IsSafeCharsmap(std::string_view charsmap);

}  // namespace atom::tokenizer
