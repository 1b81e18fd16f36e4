#include "atom/grammar/json_schema/decimal.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <limits>

namespace atom::grammar {
namespace {

constexpr int64_t kMostScaled = std::numeric_limits<int64_t>::max() - 1;

// Digits of `whole`, then the first `decimals` of `fraction`, as one integer.
int64_t Scaled(const Decimal& number, size_t decimals) {
  int64_t value = std::min(number.whole, kMostScaled);
  for (size_t i = 0; i < decimals; ++i) {
    const int64_t digit = i < number.fraction.size() ? number.fraction[i] - '0' : 0;
    if (value > (kMostScaled - digit) / 10) return kMostScaled;
    value = 10 * value + digit;
  }
  return value;
}

// How many decimals make 15 digits of a number, of the 17 that are written (json_rules.h).
size_t ExactDecimals(const Decimal& number) {
  constexpr size_t kExact = 15;
  constexpr size_t kWritten = 17;
  const size_t digits = number.whole == 0 ? 0 : fmt::format("{}", number.whole).size();
  if (digits > 0) return kExact - std::min(digits, kExact);
  return std::min(number.fraction.find_first_not_of('0'), kWritten - kExact) + kExact;
}

// REQUIRES: scaled >= 0
Decimal Unscaled(int64_t scaled, size_t decimals) {
  std::string digits = fmt::format("{:0{}}", scaled, decimals + 1);
  digits.insert(digits.size() - decimals, ".");
  return *ParseDecimal(digits);
}

}  // namespace

std::optional<Decimal> ParseDecimal(std::string_view spelled) {
  constexpr int64_t kMostExponent = 1000;  // a double has no more than 324 zeros behind the point
  Decimal number{.negative = spelled.starts_with('-')};
  if (number.negative) spelled.remove_prefix(1);
  const size_t e = std::min(spelled.find_first_of("eE"), spelled.size());
  int64_t exponent = 0;
  if (e < spelled.size()) {
    std::string_view digits = spelled.substr(e + 1);
    const bool below = digits.starts_with('-');
    if (below || digits.starts_with('+')) digits.remove_prefix(1);
    exponent = kMostExponent;  // also of digits that int64 does not hold
    std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    exponent = std::min(exponent, kMostExponent);
    if (below) exponent = -exponent;
  }
  // All digits, and where among them the point is.
  std::string digits(spelled.substr(0, e));
  const size_t point = std::min(digits.find('.'), digits.size());
  if (point < digits.size()) digits.erase(point, 1);
  int64_t at = static_cast<int64_t>(point) + exponent;
  if (at < 0) digits.insert(0, static_cast<size_t>(-at), '0');
  at = std::max<int64_t>(at, 0);
  const auto cut = static_cast<size_t>(at);
  if (digits.size() < cut) digits.append(cut - digits.size(), '0');

  std::string_view whole = std::string_view(digits).substr(0, cut);
  whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size()));
  if (!whole.empty()) {
    const auto [end, code] =
        std::from_chars(whole.data(), whole.data() + whole.size(), number.whole);
    if (code != std::errc() || number.whole > kMostScaled) return std::nullopt;
  }
  number.fraction = digits.substr(cut);
  number.fraction.erase(number.fraction.find_last_not_of('0') + 1);
  if (number.IsZero()) number.negative = false;
  return number;
}

bool operator<(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative;
  const Decimal& small = a.negative ? b : a;
  const Decimal& large = a.negative ? a : b;
  if (small.whole != large.whole) return small.whole < large.whole;
  return small.fraction < large.fraction;
}

int64_t CeilScaled(const Decimal& bound, size_t decimals, bool strict) {
  const int64_t scaled = Scaled(bound, decimals);
  const bool exact = bound.fraction.size() <= decimals;
  if (bound.negative) return exact && strict ? 1 - scaled : -scaled;
  return exact && !strict ? scaled : scaled + 1;
}

int64_t FloorScaled(const Decimal& bound, size_t decimals, bool strict) {
  Decimal turned = bound;
  turned.negative = !bound.negative && !bound.IsZero();
  return -CeilScaled(turned, decimals, strict);
}

Decimal NextAbove(const Decimal& number) {
  const size_t decimals = ExactDecimals(number);
  const bool exact = number.fraction.size() <= decimals;
  return Unscaled(Scaled(number, decimals) + (exact ? 1 : 2), decimals);
}

std::optional<Decimal> NextBelow(const Decimal& number) {
  const size_t decimals = ExactDecimals(number);
  const int64_t scaled = Scaled(number, decimals);
  if (scaled == 0) return std::nullopt;
  return Unscaled(scaled - 1, decimals);
}

}  // namespace atom::grammar
