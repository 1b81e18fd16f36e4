// Numbers that are multiples of another, as automata: a state for each remainder. Under
// json_schema.h's compiler.
#pragma once

#include <cstdint>
#include <optional>

#include "atom/grammar/json_schema/number_range.h"
#include "atom/grammar/json_schema/schema_value.h"

namespace atom::grammar {

/// factor / 10^decimals: 5, or 0.01 = 1 / 10^2.
struct Decimal {
  int64_t factor = 1;
  int decimals = 0;
};
/// A number as it is spelled, if int64 holds its digits; no trailing zeros behind the point.
std::optional<Decimal> ParseDecimal(const SchemaValue& number);

/// Larger factors would make too many states.
inline constexpr int64_t kMaxFactor = 4096;
inline constexpr int kMaxDecimals = 6;

/// from ─ a multiple of `of` in the range ─> to. Numbers that are no integers have all the decimals
/// of `of`: 1.50. REQUIRES: 0 < of.factor <= kMaxFactor, of.decimals <= kMaxDecimals.
void AddMultiples(JsonRules& rules, uint32_t from, const NumberRange& range, const Decimal& of,
                  bool integers_only, uint32_t to);

}  // namespace atom::grammar
