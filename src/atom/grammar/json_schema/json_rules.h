// The parts that the grammars of all JSON texts share: white space, strings, numbers, any value.
// Each is a rule, made once when first asked for. Under json_schema.h's compiler.
//
// The texts are JSON by RFC 8259, but not all of it, so that no model writes on for ever and every
// reader takes what comes: white space only after one of { [ , : and before } and ], at each place
// one space, or a line end and at most 32 spaces or tabs; numbers of at most 18 digits, 17 after
// the point and 2 in the exponent, which int64 and double hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "atom/grammar/grammar.h"
#include "atom/grammar/json_schema/json_escape.h"
#include "atom/grammar/json_schema/repeats.h"

namespace atom::grammar {

/// The largest integer of 18 digits.
inline constexpr int64_t kMaxInteger = 999'999'999'999'999'999;
/// Digits behind a point.
inline constexpr size_t kMaxFraction = 17;

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
  /// Many characters.
  Repeats& Chars();
  /// from ─ least to most bytes, each low to high ─> to; `least` > 0
  void AddRun(uint32_t from, char low, char high, size_t least, size_t most, uint32_t to);

 private:
  uint32_t Space();
  uint32_t NewRule(std::string name, std::optional<uint32_t>& rule, uint32_t& end);
  void AddExponent(uint32_t from, uint32_t to);
  void AddIntegerPart(uint32_t from, uint32_t to);

  GrammarBuilder& builder_;
  CharSpeller speller_;
  std::optional<Repeats> chars_;
  std::optional<uint32_t> space_, char_, string_, integer_, number_, value_, object_;
};

}  // namespace atom::grammar
