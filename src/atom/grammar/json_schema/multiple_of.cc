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

int64_t PowerOfTen(int exponent) {
  int64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

// Digits of numbers that are multiples of a factor, with a point before the last `decimals`.
class MultipleDigits {
 public:
  MultipleDigits(GrammarBuilder& builder, int64_t factor, int decimals, uint32_t to)
      : builder_(builder), factor_(factor), decimals_(static_cast<size_t>(decimals)), to_(to) {}

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

// Multiples of factor / 10^decimals between two numbers counted in the last decimal.
void AddSigned(JsonRules& rules, uint32_t from, int64_t least, int64_t most, const Decimal& of,
               uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  MultipleDigits digits(builder, of.factor, of.decimals, to);
  digits.Add(from, std::max<int64_t>(least, 0), most);
  if (least >= 0) return;
  const uint32_t minus = builder.AddState();
  builder.AddByte(from, '-', minus);
  digits.Add(minus, std::max<int64_t>(-most, 1), -least);
}

}  // namespace

std::optional<Decimal> ParseDecimal(const SchemaValue& number) {
  // "12.50e-1": digits 1250, of which 2 + 1 stand behind the point.
  constexpr size_t kMostDigits = 18;
  const std::string& text = number.text;
  const size_t e = std::min(text.find_first_of("eE"), text.size());
  const int64_t exponent = e < text.size() ? std::strtoll(text.c_str() + e + 1, nullptr, 10) : 0;
  if (std::abs(exponent) > 30) return std::nullopt;
  std::string digits = text.substr(0, e);
  const size_t point = digits.find('.');
  int64_t decimals = -exponent;
  if (point != std::string::npos) {
    decimals += static_cast<int64_t>(digits.size() - point - 1);
    digits.erase(point, 1);
  }
  for (; decimals > 0 && digits.size() > 1 && digits.back() == '0'; --decimals) digits.pop_back();
  for (; decimals < 0; ++decimals) digits += '0';
  if (digits.size() > kMostDigits) return std::nullopt;
  return Decimal{.factor = std::strtoll(digits.c_str(), nullptr, 10),
                 .decimals = static_cast<int>(decimals)};
}

void AddMultiples(JsonRules& rules, uint32_t from, const NumberRange& range, const Decimal& of,
                  bool integers_only, uint32_t to) {
  const int64_t scale = PowerOfTen(of.decimals);
  const int64_t most_whole = kMaxInteger / scale;
  const int64_t least = std::max(range.least.value_or(-kMaxInteger), -most_whole);
  const int64_t most = std::min(range.most.value_or(kMaxInteger), most_whole);
  const bool above = range.above_least && least == range.least;
  const bool below = range.below_most && most == range.most;
  const Decimal whole{.factor = of.factor / std::gcd(of.factor, scale), .decimals = 0};
  AddSigned(rules, from, least + (above ? 1 : 0), most - (below ? 1 : 0), whole, to);
  if (integers_only || of.decimals == 0) return;
  AddSigned(rules, from, least * scale + (above ? 1 : 0), most * scale - (below ? 1 : 0), of, to);
}

}  // namespace atom::grammar
