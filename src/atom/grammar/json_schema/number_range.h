// Numbers between two others, spelled in decimal, as automata. Under json_schema.h's compiler.
//
// Exact: what is spelled lies in the range, compared as decimal numbers, and what must differ from
// a bound does so by a unit of its 15th digit, so that readers who round to double see it as well.
// No exponents, no -0.
#pragma once

#include <cstdint>
#include <optional>

#include "atom/grammar/json_schema/decimal.h"
#include "atom/grammar/json_schema/json_rules.h"

namespace atom::grammar {

/// The bounds of a number. Where there is none, numbers of at most 18 digits are written
/// (JsonRules), or, beyond a bound of more digits, what int64 holds.
struct NumberRange {
  std::optional<Decimal> least;
  std::optional<Decimal> most;
  bool above_least = false;  ///< the bound itself is not in the range
  bool below_most = false;   ///< likewise

  bool bounded() const { return least.has_value() || most.has_value(); }
  /// Both bounds, those that are missing filled in.
  Decimal Least() const;
  Decimal Most() const;
};

/// from ─ an integer of the range ─> to; nothing if there is none.
void AddIntegers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to);

/// from ─ a number of the range, with or without fraction ─> to
void AddNumbers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to);

}  // namespace atom::grammar
