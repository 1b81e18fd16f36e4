// The table with which a SentencePiece model normalizes text: a double-array trie of what is
// replaced, then the replacements, each ended by a zero byte.
//
//   u32 trie bytes │ u32 units … │ "replacement\0replacement\0…"
//   unit: a node — bits 0–7 label, 8 has a value, 9 offset is in 256s, 10–30 offset — or a value
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace atom::tokenizer {

/// Whether no lookup in `charsmap` can leave it. An empty one is fine.
bool IsSafeCharsmap(std::string_view charsmap);

/// The normalizer Precompiled of a tokenizer.json: the table applied as Hugging Face does, to each
/// grapheme of less than 6 bytes and else to each character by itself. What begins with an entry of
/// the table (the shortest one) becomes its replacement as a whole.
class Charsmap {
 public:
  /// REQUIRES: IsSafeCharsmap(bytes).
  explicit Charsmap(std::string bytes) : bytes_(std::move(bytes)) {}

  /// Ill-formed bytes stay as they are.
  std::string Apply(std::string_view text) const;

 private:
  std::optional<std::string_view> Find(std::string_view text) const;
  void AppendGrapheme(std::string_view grapheme, std::string& normalized) const;

  std::string bytes_;
};

}  // namespace atom::tokenizer
