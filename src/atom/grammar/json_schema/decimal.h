// Numbers as they are spelled, without the rounding of a double: bounds and steps of a schema.
// Under json_schema.h's compiler.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace atom::grammar {

/// ±whole.fraction. Zero has no sign.
struct Decimal {
  bool negative = false;
  int64_t whole = 0;
  std::string fraction = {};  ///< digits behind the point, without zeros at the end

  bool IsZero() const { return whole == 0 && fraction.empty(); }
  Decimal Magnitude() const { return {.whole = whole, .fraction = fraction}; }
  bool operator==(const Decimal&) const = default;
};

/// A JSON number, "-1.50e2"; nothing if its whole part is not below the largest int64.
std::optional<Decimal> ParseDecimal(std::string_view spelled);

bool operator<(const Decimal& a, const Decimal& b);

/// The smallest integer k with k / 10^decimals >= `bound`, or > if `strict`; FloorScaled likewise
/// the largest below. Cut at the ends of int64.
int64_t CeilScaled(const Decimal& bound, size_t decimals, bool strict);
int64_t FloorScaled(const Decimal& bound, size_t decimals, bool strict);

/// The next number of 15 digits above or below one that is >= 0: readers who round to double see
/// the difference. Of zero 10^-17, and nothing below it.
Decimal NextAbove(const Decimal& number);
std::optional<Decimal> NextBelow(const Decimal& number);

}  // namespace atom::grammar
