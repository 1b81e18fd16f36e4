#include "atom/grammar/json_schema/number_range.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <string>

namespace atom::grammar {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max() - 1;  // that a Decimal has

// Decimal spellings of least to most, digit by digit, all of one length.
class DigitRange {
 public:
  DigitRange(GrammarBuilder& builder, uint32_t to) : builder_(builder), to_(to) {}

  // from ─ the digits low[at…] to high[at…] ─> to
  void Add(uint32_t from, const std::string& low, const std::string& high, size_t at = 0) {
    const size_t left = low.size() - at;
    if (low.find_first_not_of('0', at) == std::string::npos &&
        high.find_first_not_of('9', at) == std::string::npos) {
      return builder_.AddEpsilon(from, AnyDigits(left));
    }
    if (low[at] == high[at]) return Add(After(from, low[at]), low, high, at + 1);
    std::string nines = low;
    std::string zeros = high;
    std::fill(nines.begin() + static_cast<ptrdiff_t>(at) + 1, nines.end(), '9');
    std::fill(zeros.begin() + static_cast<ptrdiff_t>(at) + 1, zeros.end(), '0');
    Add(After(from, low[at]), low, nines, at + 1);
    if (low[at] + 1 < high[at]) {
      builder_.AddBytes(from, static_cast<uint8_t>(low[at] + 1), static_cast<uint8_t>(high[at] - 1),
                        AnyDigits(left - 1));
    }
    Add(After(from, high[at]), zeros, high, at + 1);
  }

 private:
  uint32_t After(uint32_t from, char digit) {
    const uint32_t next = builder_.AddState();
    builder_.AddByte(from, digit, next);
    return next;
  }
  uint32_t AnyDigits(size_t count) {
    if (any_.empty()) any_.push_back(to_);
    while (any_.size() <= count) {
      const uint32_t next = builder_.AddState();
      builder_.AddBytes(next, '0', '9', any_.back());
      any_.push_back(next);
    }
    return any_[count];
  }

  GrammarBuilder& builder_;
  uint32_t to_;
  std::vector<uint32_t> any_;  // by count: the state before that many digits
};

// from ─ an integer from low to high, both >= 0, without sign ─> to
void AddNatural(GrammarBuilder& builder, uint32_t from, int64_t low, int64_t high, uint32_t to) {
  constexpr size_t kMostDigits = 18;  // all of which int64 holds
  DigitRange digits(builder, to);
  while (low <= high) {
    const std::string first = fmt::format("{}", low);
    const std::string nines(first.size(), '9');
    const int64_t last = first.size() > kMostDigits ? high : std::min(high, std::stol(nines));
    digits.Add(from, first, fmt::format("{}", last));
    low = last + 1;
  }
}

// What may follow the whole part of a number of a range.
class Fractions {
 public:
  Fractions(JsonRules& rules, const Decimal& least, const Decimal& most, uint32_t to)
      : rules_(rules), builder_(rules.builder()), least_(least), most_(most), to_(to) {}

  // from ─ any fraction, or none ─> to
  void AddAny(uint32_t from) {
    builder_.AddEpsilon(from, to_);
    rules_.AddFraction(from, to_);
  }
  // from ─ one that keeps the number from falling below `least`, if `low`, and from rising above
  // `most`, if `high` ─> to; behind `at` digits that are those of each such bound.
  void Add(uint32_t from, bool low, bool high, size_t at = 0) {
    if (!low || at >= least_.fraction.size()) builder_.AddEpsilon(from, to_);
    if (at == kMaxFraction) return;
    if (at == 0) from = After(from, '.');
    char first = low ? DigitOf(least_, at) : '0';
    char last = high ? DigitOf(most_, at) : '9';
    if (low) Add(After(from, first), true, high && first == last, at + 1);
    if (high && !(low && first == last)) Add(After(from, last), false, true, at + 1);
    if (low) ++first;
    if (high) --last;
    if (first > last) return;
    builder_.AddBytes(from, static_cast<uint8_t>(first), static_cast<uint8_t>(last), Free(at + 1));
  }

 private:
  static char DigitOf(const Decimal& number, size_t at) {
    return at < number.fraction.size() ? number.fraction[at] : '0';
  }
  uint32_t After(uint32_t from, char byte) {
    const uint32_t next = builder_.AddState();
    builder_.AddByte(from, byte, next);
    return next;
  }
  // The state behind `count` digits after which any may follow.
  uint32_t Free(size_t count) {
    if (free_[count]) return *free_[count];
    const uint32_t state = builder_.AddState();
    free_[count] = state;
    builder_.AddEpsilon(state, to_);
    if (count < kMaxFraction) builder_.AddBytes(state, '0', '9', Free(count + 1));
    return state;
  }

  JsonRules& rules_;
  GrammarBuilder& builder_;
  const Decimal& least_;
  const Decimal& most_;
  uint32_t to_;
  std::array<std::optional<uint32_t>, kMaxFraction + 1> free_ = {};
};

// from ─ a number from `least` to `most`, both >= 0, without sign ─> to
void AddMagnitudes(JsonRules& rules, uint32_t from, const Decimal& least, const Decimal& most,
                   uint32_t to) {
  if (most < least) return;
  GrammarBuilder& builder = rules.builder();
  Fractions fractions(rules, least, most, to);
  const auto whole_part = [&](int64_t low, int64_t high) {
    const uint32_t state = builder.AddState();
    AddNatural(builder, from, low, high, state);
    return state;
  };
  const int64_t last = most.whole;
  if (least.whole == last) return fractions.Add(whole_part(last, last), true, true);
  int64_t low = least.whole;  // from here on, but for the last, with any fraction
  if (!least.fraction.empty()) {
    fractions.Add(whole_part(low, low), true, false);
    ++low;
  }
  if (low < last) fractions.AddAny(whole_part(low, last - 1));
  fractions.Add(whole_part(last, last), false, true);
}

}  // namespace

Decimal NumberRange::Least() const {
  if (least) return *least;
  const bool few_digits = !most || !most->negative || most->whole < kMaxInteger;
  return {.negative = true, .whole = few_digits ? kMaxInteger : kMost};
}

Decimal NumberRange::Most() const {
  if (most) return *most;
  const bool few_digits = !least || least->negative || least->whole < kMaxInteger;
  return {.whole = few_digits ? kMaxInteger : kMost};
}

void AddIntegers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to) {
  const int64_t least = CeilScaled(range.Least(), 0, range.above_least);
  const int64_t most = FloorScaled(range.Most(), 0, range.below_most);
  GrammarBuilder& builder = rules.builder();
  AddNatural(builder, from, std::max<int64_t>(least, 0), most, to);
  if (least >= 0) return;
  const uint32_t minus = builder.AddState();
  builder.AddByte(from, '-', minus);
  AddNatural(builder, minus, std::max<int64_t>(-most, 1), -least, to);
}

//   least ─────── 0 ─────── most      the half with a sign ends in front of zero
void AddNumbers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to) {
  const Decimal least = range.Least();
  const Decimal most = range.Most();
  // A half from `low` to `high`, both without their sign.
  const auto add_half = [&](uint32_t start, const Decimal& low, bool above, const Decimal& high,
                            bool below) {
    const std::optional<Decimal> end = below ? NextBelow(high) : high;
    if (end) AddMagnitudes(rules, start, above ? NextAbove(low) : low, *end, to);
  };
  if (!most.negative) {
    const bool whole_half = least.negative;
    add_half(from, whole_half ? Decimal{} : least, !whole_half && range.above_least, most,
             range.below_most);
  }
  if (least.negative) {
    const bool whole_half = !most.negative;
    const uint32_t minus = rules.builder().AddState();
    rules.builder().AddByte(from, '-', minus);
    add_half(minus, whole_half ? Decimal{} : most.Magnitude(), whole_half || range.below_most,
             least.Magnitude(), range.above_least);
  }
}

}  // namespace atom::grammar
