#include "atom/grammar/json_schema/string_rule.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "atom/grammar/json_schema/multiple_of.h"
#include "atom/grammar/json_schema/number_range.h"
#include "atom/grammar/regex/look_ahead.h"
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

void AddManyCharacters(JsonRules& rules, const Shape& shape, uint32_t from, uint32_t to) {
  GrammarBuilder& builder = rules.builder();
  uint32_t at = builder.AddState();
  const uint32_t end = builder.AddState();
  builder.AddByte(from, '"', at);
  builder.AddByte(end, '"', to);
  at = rules.Chars().Add(at, shape.min_length);
  builder.AddEpsilon(at, end);
  if (!shape.max_length) {
    builder.AddCall(at, rules.Char(), at);
  } else {
    rules.Chars().AddUpTo(at, *shape.max_length - shape.min_length, end);
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
void Tighten(std::optional<Decimal>& bound, bool& strict, const Decimal& value, bool value_strict,
             bool upper) {
  const bool tighter = !bound || (upper ? value < *bound : *bound < value);
  if (!tighter && value != *bound) return;
  strict = value_strict || (!tighter && strict);
  bound = value;
}

bool Empty(const NumberRange& range) {
  if (!range.least || !range.most) return false;
  const bool one = *range.least == *range.most;
  return *range.most < *range.least || (one && (range.above_least || range.below_most));
}

// The conjunction of all bounds; nothing if they leave no number and others may still hold.
Result<std::optional<NumberRange>> RangeOf(const Shape& shape) {
  NumberRange range;
  for (const KeywordUse& use : shape.bounds) {
    const bool upper = use.keyword.ends_with("aximum");
    const bool strict = use.keyword.starts_with("exclusive");
    const std::optional<Decimal> value = ParseDecimal(use.value->text);
    const bool negative = use.value->text.starts_with('-');
    if (!value && upper != negative) {  // beyond all that are written without exponent
      const Decimal end{.negative = negative, .whole = kMaxInteger};
      Tighten(upper ? range.most : range.least, upper ? range.below_most : range.above_least, end,
              false, upper);
      continue;
    }
    if (!value && !shape.branched) {
      return SchemaError(use.path, use.keyword,
                         fmt::format("is {}, beyond all numbers that are written here",
                                     io::Quote(use.value->text)));
    }
    if (!value) return std::optional<NumberRange>();
    if (upper) {
      Tighten(range.most, range.below_most, *value, strict, true);
    } else {
      Tighten(range.least, range.above_least, *value, strict, false);
    }
    if (!Empty(range)) continue;
    if (shape.branched) return std::optional<NumberRange>();
    return SchemaError(use.path, use.keyword, "contradicts: no number is left");
  }
  return std::optional(range);
}

Result<Multiple> MultipleOf(const Shape& shape) {
  const KeywordUse& last = shape.multiples.back();
  std::vector<Decimal> numbers;
  for (const KeywordUse& use : shape.multiples) {
    const std::optional<Decimal> number = ParseDecimal(use.value->text);
    if (number) numbers.push_back(*number);
  }
  const std::optional<Multiple> of = CommonMultiple(numbers);
  if (of && numbers.size() == shape.multiples.size()) return *of;
  return SchemaError(
      last.path, last.keyword,
      fmt::format("is {}, expected a positive number of at most {} decimals and, without its point "
                  "and zeros at the end, at most {}, also of all multipleOf together",
                  io::Quote(last.value->text), kMaxDecimals, kMaxFactor));
}

}  // namespace

Result<Dfa> ConjoinPatterns(const Shape& shape, RegexBudget& budget) {
  std::optional<Dfa> all;
  const auto conjoin = [&](const std::string& text, bool forbidden) -> Status {
    const Result<RegexTree> tree = ParseRegex(text);
    if (!tree.ok()) return tree.error();
    Result<Dfa> automaton = BuildDfa(*tree, budget);
    if (automaton.ok() && forbidden) automaton = ComplementDfa(*automaton);
    if (automaton.ok() && all) automaton = IntersectDfas(*all, *automaton, budget);
    if (!automaton.ok()) return automaton.error();
    all = *std::move(automaton);
    return {};
  };
  for (const Shape::Pattern& pattern : shape.patterns) {
    const LookAheads parts = SplitLookAheads(pattern.text);
    Status status = conjoin(parts.rest, false);
    for (const std::string& text : parts.required) {
      if (status.ok()) status = conjoin(text, false);
    }
    for (const std::string& text : parts.forbidden) {
      if (status.ok()) status = conjoin(text, true);
    }
    if (!status.ok()) return RefusePattern(pattern, status.error());
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
  const Result<std::optional<NumberRange>> bounds = RangeOf(shape);
  if (!bounds.ok()) return bounds.error();
  if (!bounds->has_value()) return {};
  const NumberRange& range = **bounds;
  if (!shape.multiples.empty()) {
    const Result<Multiple> of = MultipleOf(shape);
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
