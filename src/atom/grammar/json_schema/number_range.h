// Numbers between two integers, spelled in decimal, as automata. Under json_schema.h's compiler.
//
// Exact: what is spelled lies in the range, compared as decimal numbers. No exponents, no -0.
#pragma once

#include <cstdint>
#include <optional>

#include "atom/grammar/json_schema/json_rules.h"

namespace atom::grammar {

/// The bounds of a number; none is that of JsonRules. Integers within ±kMaxInteger.
struct NumberRange {
  std::optional<int64_t> least;
  std::optional<int64_t> most;
  bool above_least = false;  ///< the bound itself is not in the range
  bool below_most = false;   ///< likewise

  bool bounded() const { return least.has_value() || most.has_value(); }
};

/// from ─ an integer of the range ─> to; nothing if there is none.
void AddIntegers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to);

/// from ─ a number of the range, with or without fraction ─> to
void AddNumbers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to);

}  // namespace atom::grammar
