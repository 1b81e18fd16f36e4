// Numbers that are multiples of another, as automata: a state for each remainder. Under
// json_schema.h's compiler.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "atom/grammar/json_schema/number_range.h"

namespace atom::grammar {

/// factor / 10^decimals: 5, or 0.01 = 1 / 10^2.
struct Multiple {
  int64_t factor = 1;
  size_t decimals = 0;
};

/// The number that all of `numbers` divide; nothing if it has more than kMaxDecimals, or a factor
/// that takes more states than there may be (more than 4,096, without zeros at the end).
std::optional<Multiple> CommonMultiple(const std::vector<Decimal>& numbers);
inline constexpr size_t kMaxDecimals = 6;
inline constexpr int64_t kMaxFactor = 4096;

/// from ─ a multiple of `of` in the range ─> to. Numbers that are no integers have all the decimals
/// of `of`: 1.50. REQUIRES: `of` is one of CommonMultiple.
void AddMultiples(JsonRules& rules, uint32_t from, const NumberRange& range, const Multiple& of,
                  bool integers_only, uint32_t to);

/// `value` is a multiple of `of`, exactly.
bool IsMultiple(const Decimal& value, const Decimal& of);

}  // namespace atom::grammar
