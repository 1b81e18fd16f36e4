// A rule many times over, as rules of 2^i of it and of 1 to 2^i that call each other: a few states
// for each bit of the number. Under json_schema.h's compiler.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "atom/grammar/grammar.h"

namespace atom::grammar {

class Repeats {
 public:
  /// Of the rule `once`; `name` is that of the rules. REQUIRES: `builder` outlives this.
  Repeats(GrammarBuilder& builder, uint32_t once, std::string name)
      : builder_(builder), once_(once), name_(std::move(name)) {}

  /// The state after `from` and `count` of it.
  uint32_t Add(uint32_t from, int64_t count);
  /// from ─ 1 to `most` of it ─> to; nothing for `most` = 0
  void AddUpTo(uint32_t from, int64_t most, uint32_t to);

 private:
  uint32_t Exactly(size_t power);  ///< 2^power
  uint32_t UpTo(size_t power);     ///< 1 to 2^power

  GrammarBuilder& builder_;
  uint32_t once_;
  std::string name_;
  std::vector<uint32_t> exactly_;  // by power
  std::vector<uint32_t> up_to_;    // likewise
};

}  // namespace atom::grammar
