// The strings and numbers that a Shape allows, as automata.
#pragma once

#include <cstdint>

#include "atom/core/result.h"
#include "atom/grammar/json_schema/json_rules.h"
#include "atom/grammar/json_schema/schema_shape.h"
#include "atom/grammar/regex/regex.h"

namespace atom::grammar {

/// All patterns and formats in one automaton. REQUIRES: there is one.
Result<Dfa> ConjoinPatterns(const Shape& shape, RegexBudget& budget);

/// from ─ a string of `shape` ─> to
Status AddStrings(JsonRules& rules, const Shape& shape, RegexBudget& budget, uint32_t from,
                  uint32_t to);

/// from ─ a number of `shape`, an integer if its types say so ─> to
Status AddShapeNumbers(JsonRules& rules, const Shape& shape, uint32_t from, uint32_t to);

}  // namespace atom::grammar
