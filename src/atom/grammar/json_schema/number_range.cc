#include "atom/grammar/json_schema/number_range.h"

#include <algorithm>
#include <fmt/format.h>
#include <string>

namespace atom::grammar {
namespace {

constexpr size_t kZeros = 16;  // before the digit of a fraction that is not zero, or after it

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
  DigitRange digits(builder, to);
  while (low <= high) {
    const std::string first = fmt::format("{}", low);
    const std::string nines(first.size(), '9');
    const int64_t last = std::min<int64_t>(high, std::stoll(nines));
    digits.Add(from, first, fmt::format("{}", last));
    low = last + 1;
  }
}

// . and digits that are not all zeros
void AddNonzeroFraction(JsonRules& rules, uint32_t from, uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  uint32_t zeros = builder.AddState();
  const uint32_t digit = builder.AddState();
  builder.AddByte(from, '.', zeros);
  for (size_t i = 0; i <= kZeros; ++i) {
    builder.AddBytes(zeros, '1', '9', digit);
    const uint32_t next = builder.AddState();
    builder.AddByte(zeros, '0', next);
    zeros = next;
  }
  builder.AddEpsilon(digit, to);
  rules.AddRun(digit, '0', '9', 1, kZeros, to);
}

// The part of the range that is >= 0, without sign. REQUIRES: 0 <= least <= most.
struct Magnitudes {
  int64_t least;
  int64_t most;
  bool above_least;
  bool below_most;
};

void AddMagnitudes(JsonRules& rules, uint32_t from, const Magnitudes& range, uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  // Up to but without `most` any fraction will do, except for the integer `least` if it is
  // excluded.
  const int64_t first = range.above_least ? range.least + 1 : range.least;
  const uint32_t whole = builder.AddState();
  builder.AddEpsilon(whole, to);
  rules.AddFraction(whole, to);
  AddNatural(builder, from, first, range.most - 1, whole);
  if (range.above_least && range.least < range.most) {
    const uint32_t excluded = builder.AddState();
    AddNatural(builder, from, range.least, range.least, excluded);
    AddNonzeroFraction(rules, excluded, to);
  }
  if (!range.below_most && first <= range.most) {
    const uint32_t most = builder.AddState();
    AddNatural(builder, from, range.most, range.most, most);
    builder.AddEpsilon(most, to);
    rules.speller().AddText(most, ".0", to);
  }
}

}  // namespace

void AddIntegers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to) {
  const int64_t least = range.least.value_or(-kMaxInteger) + (range.above_least ? 1 : 0);
  const int64_t most = range.most.value_or(kMaxInteger) - (range.below_most ? 1 : 0);
  GrammarBuilder& builder = rules.builder();
  AddNatural(builder, from, std::max<int64_t>(least, 0), most, to);
  if (least >= 0) return;
  const uint32_t minus = builder.AddState();
  builder.AddByte(from, '-', minus);
  AddNatural(builder, minus, std::max<int64_t>(-most, 1), -least, to);
}

void AddNumbers(JsonRules& rules, uint32_t from, const NumberRange& range, uint32_t to) {
  const int64_t least = range.least.value_or(-kMaxInteger);
  const int64_t most = range.most.value_or(kMaxInteger);
  GrammarBuilder& builder = rules.builder();
  if (most >= 0 && least <= most) {
    const bool cut = least < 0;  // at zero, which belongs to this half
    AddMagnitudes(rules, from,
                  {.least = cut ? 0 : least,
                   .most = most,
                   .above_least = !cut && range.above_least,
                   .below_most = range.below_most},
                  to);
  }
  if (least < 0 && least <= most) {
    const bool cut = most >= 0;
    const uint32_t minus = builder.AddState();
    builder.AddByte(from, '-', minus);
    AddMagnitudes(rules, minus,
                  {.least = cut ? 0 : -most,
                   .most = -least,
                   .above_least = cut || range.below_most,
                   .below_most = range.above_least},
                  to);
  }
}

}  // namespace atom::grammar
