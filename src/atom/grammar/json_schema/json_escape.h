// How characters, strings and whole values are spelled in JSON, as bytes and as edges of a grammar.
// Under json_schema.h's compiler.
//
// The plain spelling of a character is its UTF-8, or where RFC 8259 forbids that, its shortest
// escape: \" \\ \b \f \n \r \t and \u00xx with lower-case digits. It is the only one for keys,
// enumerated values and strings with a pattern, so that what differs in bytes differs in meaning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "atom/grammar/char_set.h"
#include "atom/grammar/grammar.h"

namespace atom::grammar {

/// `text` in quotes. REQUIRES: valid UTF-8.
std::string SpellJsonString(std::string_view text);

/// Adds automata that spell characters. Those that end in the same state share their last bytes.
class CharSpeller {
 public:
  /// REQUIRES: `builder` outlives this.
  explicit CharSpeller(GrammarBuilder& builder) : builder_(builder) {}

  /// from ─ one character of `chars`, in its plain spelling ─> to.
  void AddChars(uint32_t from, const CharSet& chars, uint32_t to);

  /// from ─ `bytes` as they are ─> to. REQUIRES: not empty.
  void AddText(uint32_t from, std::string_view bytes, uint32_t to);

 private:
  // Control characters whose escapes differ in the last digit, a run of '0' to '9' or 'a' to 'f'.
  void AddHex(uint32_t from, CharRange run, uint32_t to);
  void AddUtf8(uint32_t from, CharRange range, uint32_t to);
  uint32_t Before(uint8_t low, uint8_t high, uint32_t to);

  GrammarBuilder& builder_;
  std::vector<std::vector<ByteEdge>> before_;  // by state: edges that end there; `to` is where from
};

}  // namespace atom::grammar
