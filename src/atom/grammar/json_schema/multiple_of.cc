#include "atom/grammar/json_schema/multiple_of.h"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <map>
#include <numeric>
#include <string>
#include <utility>

namespace atom::grammar {
namespace {

int64_t PowerOfTen(size_t exponent) {
  int64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

// Digits of numbers that are multiples of a factor, with a point before the last `decimals`.
class MultipleDigits {
 public:
  MultipleDigits(GrammarBuilder& builder, int64_t factor, size_t decimals, uint32_t to)
      : builder_(builder), factor_(factor), decimals_(decimals), to_(to) {}

  // from ─ a number from low to high, both >= 0, counted in the last decimal ─> to
  void Add(uint32_t from, int64_t low, int64_t high) {
    while (low <= high) {
      std::string first = fmt::format("{}", low);
      first.insert(0, decimals_ + 1 - std::min(first.size(), decimals_ + 1), '0');
      const std::string nines(first.size(), '9');
      const int64_t last = std::min<int64_t>(high, std::strtoll(nines.c_str(), nullptr, 10));
      std::string end = fmt::format("{}", last);
      end.insert(0, first.size() - end.size(), '0');
      AddDigits(from, first, end, 0, 0);
      low = last + 1;
    }
  }

 private:
  uint32_t After(uint32_t from, char byte) {
    const uint32_t next = builder_.AddState();
    builder_.AddByte(from, byte, next);
    return next;
  }

  // The digits low[at…] to high[at…] behind others that leave `remainder`.
  void AddDigits(uint32_t from, const std::string& low, const std::string& high, size_t at,
                 int64_t remainder) {
    if (builder_.full()) return;
    const size_t left = low.size() - at;
    if (low.find_first_not_of('0', at) == std::string::npos &&
        high.find_first_not_of('9', at) == std::string::npos) {
      return builder_.AddEpsilon(from, AnyDigits(left, remainder));
    }
    if (decimals_ > 0 && left == decimals_) from = After(from, '.');
    for (char digit = low[at]; digit <= high[at]; ++digit) {
      std::string least = low;
      std::string most = high;
      if (digit != low[at]) std::fill(Behind(least, at), least.end(), '0');
      if (digit != high[at]) std::fill(Behind(most, at), most.end(), '9');
      AddDigits(After(from, digit), least, most, at + 1, Next(remainder, digit));
    }
  }
  static std::string::iterator Behind(std::string& text, size_t at) {
    return text.begin() + static_cast<ptrdiff_t>(at) + 1;
  }
  int64_t Next(int64_t remainder, char digit) const {
    return (remainder * 10 + (digit - '0')) % factor_;
  }

  // The state before any `left` digits that make a multiple of it.
  uint32_t AnyDigits(size_t left, int64_t remainder) {
    if (left == 0 && remainder == 0) return to_;
    const auto [place, added] = any_.try_emplace({left, remainder}, 0);
    if (!added) return place->second;
    const uint32_t state = place->second = builder_.AddState();
    if (left == 0 || builder_.full()) return state;  // no number: it is cut off in the end
    const uint32_t digits = decimals_ > 0 && left == decimals_ ? After(state, '.') : state;
    for (char digit = '0'; digit <= '9'; ++digit) {
      builder_.AddByte(digits, digit, AnyDigits(left - 1, Next(remainder, digit)));
    }
    return state;
  }

  GrammarBuilder& builder_;
  int64_t factor_;
  size_t decimals_;
  uint32_t to_;
  std::map<std::pair<size_t, int64_t>, uint32_t> any_;
};

// Multiples of factor / 10^decimals between two numbers counted in the last decimal. Zeros at the
// end of the factor are those of every multiple but 0.
void AddSigned(JsonRules& rules, uint32_t from, int64_t least, int64_t most, Multiple of,
               uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  const bool with_zero = least <= 0 && most >= 0;
  int64_t tens = 1;
  uint32_t zeros = to;
  for (; of.decimals == 0 && of.factor % 10 == 0; of.factor /= 10, tens *= 10) {
    const uint32_t before = builder.AddState();
    builder.AddByte(before, '0', zeros);
    zeros = before;
  }
  if (tens > 1 && with_zero) builder.AddByte(from, '0', to);
  MultipleDigits digits(builder, of.factor, of.decimals, zeros);
  const auto add = [&](uint32_t start, int64_t low, int64_t high) {
    digits.Add(start, (low + tens - 1) / tens, high / tens);
  };
  if (most >= 0) add(from, std::max<int64_t>(least, tens > 1 ? 1 : 0), most);
  if (least >= 0) return;
  const uint32_t minus = builder.AddState();
  builder.AddByte(from, '-', minus);
  add(minus, std::max<int64_t>(-most, 1), -least);
}

// In units of the last of `decimals`; nothing beyond 18 digits.
std::optional<int64_t> Units(const Decimal& number, size_t decimals) {
  const int64_t scale = PowerOfTen(decimals);
  if (number.fraction.size() > decimals || number.whole >= kMaxInteger / scale) return std::nullopt;
  return FloorScaled(number.negative ? number.Magnitude() : number, decimals, false);
}

}  // namespace

std::optional<Multiple> CommonMultiple(const std::vector<Decimal>& numbers) {
  constexpr int64_t kMostCommon = 1'000'000'000'000;
  size_t decimals = 0;
  for (const Decimal& number : numbers) decimals = std::max(decimals, number.fraction.size());
  if (decimals > kMaxDecimals) return std::nullopt;
  int64_t common = 1;
  for (const Decimal& number : numbers) {
    const std::optional<int64_t> units = Units(number, decimals);
    if (!units || *units == 0 || number.negative || *units > kMostCommon) return std::nullopt;
    const int64_t rest = *units / std::gcd(common, *units);
    if (rest > kMostCommon / common) return std::nullopt;
    common *= rest;
  }
  for (; decimals > 0 && common % 10 == 0; --decimals) common /= 10;
  int64_t states = common;
  while (states % 10 == 0) states /= 10;
  if (states > kMaxFactor) return std::nullopt;
  return Multiple{.factor = common, .decimals = decimals};
}

void AddMultiples(JsonRules& rules, uint32_t from, const NumberRange& range, const Multiple& of,
                  bool integers_only, uint32_t to) {
  const int64_t scale = PowerOfTen(of.decimals);
  const auto add = [&](size_t decimals, const Multiple& step) {
    const int64_t most = kMaxInteger / scale * PowerOfTen(decimals);
    AddSigned(rules, from, std::max(CeilScaled(range.Least(), decimals, range.above_least), -most),
              std::min(FloorScaled(range.Most(), decimals, range.below_most), most), step, to);
  };
  add(0, {.factor = of.factor / std::gcd(of.factor, scale), .decimals = 0});
  if (!integers_only && of.decimals > 0) add(of.decimals, of);
}

bool IsMultiple(const Decimal& value, const Decimal& of) {
  const size_t decimals = std::max(value.fraction.size(), of.fraction.size());
  if (decimals > kMaxFraction) return false;
  const std::optional<int64_t> a = Units(value, decimals);
  const std::optional<int64_t> b = Units(of, decimals);
  return a && b && *b != 0 && *a % *b == 0;
}

}  // namespace atom::grammar
