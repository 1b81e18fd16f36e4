// The parts that the grammars of all JSON texts share: white space, strings, numbers, any value.
// Each is a rule, made once when first asked for. Under json_schema.h's compiler.
//
// The texts are JSON by RFC 8259, but not all of it, so that no model writes on for ever and every
// reader takes what comes: white space only after one of { [ , : and before } and ], at each place
// one space, or a line end and at most 32 spaces or tabs; numbers of at most 18 digits, 17 after
// the point and 2 in the exponent, which int64 and double hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "atom/grammar/grammar.h"
#include "atom/grammar/json_schema/json_escape.h"

namespace atom::grammar {

/// The largest integer of 18 digits.
inline constexpr int64_t kMaxInteger = 999'999'999'999'999'999;

class JsonRules {
 public:
  /// REQUIRES: `builder` outlives this.
  explicit JsonRules(GrammarBuilder& builder) : builder_(builder), speller_(builder) {}

  GrammarBuilder& builder() { return builder_; }
  CharSpeller& speller() { return speller_; }

  uint32_t Char();     ///< one character of a string, in any spelling
  uint32_t String();   ///< with its quotes
  uint32_t Integer();  ///< no fraction, no exponent
  uint32_t Number();
  uint32_t Value();
  uint32_t Object();

  /// The state after `from` and white space, or nothing.
  uint32_t AddSpace(uint32_t from);
  /// The state after `from`, `byte` and white space, or nothing.
  uint32_t AddByteAndSpace(uint32_t from, char byte);
  /// from ─ . and 1 to 17 digits ─> to
  void AddFraction(uint32_t from, uint32_t to);
  /// The state after `from` and `count` characters.
  uint32_t AddCharacters(uint32_t from, int64_t count);
  /// from ─ 1 to `most` characters ─> to; nothing for `most` = 0. A few states for each bit of it.
  void AddUpToCharacters(uint32_t from, int64_t most, uint32_t to);
  /// from ─ least to most bytes, each low to high ─> to; `least` > 0
  void AddRun(uint32_t from, char low, char high, size_t least, size_t most, uint32_t to);

 private:
  uint32_t Space();
  uint32_t Characters(size_t power);      ///< 2^power
  uint32_t UpToCharacters(size_t power);  ///< 1 to 2^power
  uint32_t NewRule(std::string name, std::optional<uint32_t>& rule, uint32_t& end);
  void AddExponent(uint32_t from, uint32_t to);
  void AddIntegerPart(uint32_t from, uint32_t to);

  GrammarBuilder& builder_;
  CharSpeller speller_;
  std::vector<uint32_t> characters_;        // by power
  std::vector<uint32_t> up_to_characters_;  // likewise
  std::optional<uint32_t> space_, char_, string_, integer_, number_, value_, object_;
};

}  // namespace atom::grammar
