#include "atom/grammar/json_schema/string_rule.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "atom/grammar/json_schema/multiple_of.h"
#include "atom/grammar/json_schema/number_range.h"
#include "atom/io/quote.h"

namespace atom::grammar {
namespace {

Error RefusePattern(const Shape::Pattern& pattern, const Error& error) {
  return SchemaError(pattern.use.path, pattern.use.keyword,
                     fmt::format("{}: {}", io::Quote(pattern.use.value->text), error.message));
}

// With the limits of the length.
Result<Dfa> LimitedPatterns(const Shape& shape, RegexBudget& budget) {
  Result<Dfa> all = ConjoinPatterns(shape, budget);
  if (!all.ok() || (shape.min_length == 0 && !shape.max_length)) return all;
  Result<Dfa> limited = LimitLength(
      *all, static_cast<size_t>(shape.min_length),
      shape.max_length ? std::optional(static_cast<size_t>(*shape.max_length)) : std::nullopt,
      budget);
  if (!limited.ok()) {
    return SchemaError(shape.path, "pattern",
                       fmt::format("with minLength or maxLength {}", limited.error().message));
  }
  return limited;
}

void AddAutomaton(JsonRules& rules, const Dfa& automaton, uint32_t from, uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  std::vector<uint32_t> ids;
  for (size_t i = 0; i < automaton.states.size() && !builder.full(); ++i) {
    ids.push_back(builder.AddState());
  }
  if (builder.full()) return;
  builder.AddByte(from, '"', ids.front());
  for (size_t i = 0; i < ids.size(); ++i) {
    for (const DfaEdge& edge : automaton.states[i].edges) {
      rules.speller().AddChars(ids[i], edge.chars, ids[edge.to]);
    }
    if (automaton.states[i].accepts) builder.AddByte(ids[i], '"', to);
  }
}

// Many characters: rules of 2^i of them, and of 1 to 2^i, that call each other.
void AddManyCharacters(JsonRules& rules, const Shape& shape, uint32_t from, uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  uint32_t at = builder.AddState();
  const uint32_t end = builder.AddState();
  builder.AddByte(from, '"', at);
  builder.AddByte(end, '"', to);
  at = rules.AddCharacters(at, shape.min_length);
  builder.AddEpsilon(at, end);
  if (!shape.max_length) {
    builder.AddCall(at, rules.Char(), at);
  } else {
    rules.AddUpToCharacters(at, *shape.max_length - shape.min_length, end);
  }
}

// A chain of characters in any spelling.
void AddLimited(JsonRules& rules, const Shape& shape, uint32_t from, uint32_t to) {
  constexpr int64_t kLongestChain = 1000;
  if (std::max(shape.min_length, shape.max_length.value_or(0)) > kLongestChain) {
    return AddManyCharacters(rules, shape, from, to);
  }
  GrammarBuilder& builder = rules.builder();
  const int64_t last = shape.max_length.value_or(shape.min_length);
  uint32_t at = builder.AddState();
  builder.AddByte(from, '"', at);
  for (int64_t count = 0; count <= last && !builder.full(); ++count) {
    if (count >= shape.min_length) builder.AddByte(at, '"', to);
    if (count == last) break;
    const uint32_t next = builder.AddState();
    builder.AddCall(at, rules.Char(), next);
    at = next;
  }
  if (!shape.max_length) builder.AddCall(at, rules.Char(), at);
}

// The larger of two lower bounds, or of two equal ones the stricter; with the signs turned the same
// for upper bounds.
void Tighten(std::optional<int64_t>& bound, bool& strict, int64_t value, bool value_strict,
             bool upper) {
  const bool tighter = !bound || (upper ? value < *bound : value > *bound);
  if (!tighter && value != *bound) return;
  strict = value_strict || (!tighter && strict);
  bound = value;
}

// A bound beyond the numbers that are written (JsonRules), or between two integers: the closest
// integer bound that means the same. nullopt: it bounds nothing.
struct Bound {
  int64_t value;
  bool strict;
};
Result<std::optional<Bound>> BoundOf(const KeywordUse& use, bool integers) {
  const bool upper = use.keyword.ends_with("aximum");
  const std::optional<int64_t> value = use.value->AsInteger();
  if (value && *value <= kMaxInteger && *value >= -kMaxInteger) {
    return std::optional(Bound{*value, use.keyword.starts_with("exclusive")});
  }
  const double about = use.value->AsDouble();
  constexpr auto kMost = static_cast<double>(kMaxInteger);
  if (upper ? about > kMost : about < -kMost) return std::optional<Bound>();
  if (std::abs(about) >= kMost)
    return std::optional(Bound{upper ? -kMaxInteger : kMaxInteger, true});
  if (integers) {
    return std::optional(
        Bound{static_cast<int64_t>(upper ? std::floor(about) : std::ceil(about)), false});
  }
  return SchemaError(use.path, use.keyword,
                     fmt::format("is {}, expected an integer", io::Quote(use.value->text)));
}

Result<Decimal> MultipleOf(const Shape& shape) {
  const KeywordUse& use = shape.multiples.front();
  const std::optional<Decimal> of = ParseDecimal(*use.value);
  const bool fits =
      of && of->factor > 0 && of->factor <= kMaxFactor && of->decimals <= kMaxDecimals;
  if (!fits) {
    return SchemaError(use.path, use.keyword,
                       fmt::format("is {}, expected a positive number of at most {} decimals and, "
                                   "without its point, at most {}",
                                   io::Quote(use.value->text), kMaxDecimals, kMaxFactor));
  }
  for (const KeywordUse& other : shape.multiples) {
    const std::optional<Decimal> same = ParseDecimal(*other.value);
    if (same && same->factor == of->factor && same->decimals == of->decimals) continue;
    return SchemaError(other.path, other.keyword, "is not supported beside another multipleOf");
  }
  return *of;
}

}  // namespace

Result<Dfa> ConjoinPatterns(const Shape& shape, RegexBudget& budget) {
  std::optional<Dfa> all;
  for (const Shape::Pattern& pattern : shape.patterns) {
    const Result<RegexTree> tree = ParseRegex(pattern.text);
    if (!tree.ok()) return RefusePattern(pattern, tree.error());
    Result<Dfa> automaton = BuildDfa(*tree, budget);
    if (automaton.ok() && all) automaton = IntersectDfas(*all, *automaton, budget);
    if (!automaton.ok()) return RefusePattern(pattern, automaton.error());
    all = *std::move(automaton);
  }
  return *std::move(all);
}

Status AddStrings(JsonRules& rules, const Shape& shape, RegexBudget& budget, uint32_t from,
                  uint32_t to) {
  if (shape.patterns.empty()) {
    if (shape.min_length == 0 && !shape.max_length) {
      rules.builder().AddCall(from, rules.String(), to);
    } else {
      AddLimited(rules, shape, from, to);
    }
    return {};
  }
  const Result<Dfa> automaton = LimitedPatterns(shape, budget);
  if (!automaton.ok()) return automaton.error();
  AddAutomaton(rules, *automaton, from, to);
  return {};
}

Status AddShapeNumbers(JsonRules& rules, const Shape& shape, uint32_t from, uint32_t to) {
  const bool integers = (shape.types & kFractionType) == 0;
  NumberRange range;
  for (const KeywordUse& use : shape.bounds) {
    const Result<std::optional<Bound>> bound = BoundOf(use, integers);
    if (!bound.ok()) return bound.error();
    if (!bound->has_value()) continue;
    const auto [value, strict] = **bound;
    if (use.keyword.ends_with("inimum")) {
      Tighten(range.least, range.above_least, value, strict, false);
    } else {
      Tighten(range.most, range.below_most, value, strict, true);
    }
    const bool empty = range.least && range.most &&
                       (*range.least > *range.most ||
                        (*range.least == *range.most && (range.above_least || range.below_most)));
    if (empty && shape.branched) return {};
    if (empty) return SchemaError(use.path, use.keyword, "contradicts: no number is left");
  }
  if (!shape.multiples.empty()) {
    const Result<Decimal> of = MultipleOf(shape);
    if (!of.ok()) return of.error();
    AddMultiples(rules, from, range, *of, integers, to);
  } else if (!range.bounded()) {
    rules.builder().AddCall(from, integers ? rules.Integer() : rules.Number(), to);
  } else if (integers) {
    AddIntegers(rules, from, range, to);
  } else {
    AddNumbers(rules, from, range, to);
  }
  return {};
}

}  // namespace atom::grammar
