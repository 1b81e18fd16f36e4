#include "atom/grammar/json_schema/string_rule.h"

#include <fmt/format.h>
#include <utility>

#include "atom/grammar/json_schema/number_range.h"
#include "atom/io/quote.h"

namespace atom::grammar {
namespace {

Error RefusePattern(const Shape::Pattern& pattern, const Error& error) {
  return SchemaError(pattern.use.path, pattern.use.keyword,
                     fmt::format("{}: {}", io::Quote(pattern.use.value->text), error.message));
}

// All patterns and limits of the length in one automaton. REQUIRES: a pattern.
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
  if (shape.min_length == 0 && !shape.max_length) return *std::move(all);
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

// A chain of characters in any spelling.
void AddLimited(JsonRules& rules, const Shape& shape, uint32_t from, uint32_t to) {
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

}  // namespace

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
  const Result<Dfa> automaton = ConjoinPatterns(shape, budget);
  if (!automaton.ok()) return automaton.error();
  AddAutomaton(rules, *automaton, from, to);
  return {};
}

Status AddShapeNumbers(JsonRules& rules, const Shape& shape, uint32_t from, uint32_t to) {
  const bool integers = (shape.types & kFractionType) == 0;
  NumberRange range;
  for (const KeywordUse& use : shape.bounds) {
    const std::optional<int64_t> value = use.value->AsInteger();
    if (!value || *value > kMaxInteger || *value < -kMaxInteger) {
      return SchemaError(use.path, use.keyword,
                         fmt::format("is {}, expected an integer within ±{}",
                                     io::Quote(use.value->text), kMaxInteger));
    }
    const bool strict = use.keyword.starts_with("exclusive");
    if (use.keyword.ends_with("inimum")) {
      Tighten(range.least, range.above_least, *value, strict, false);
    } else {
      Tighten(range.most, range.below_most, *value, strict, true);
    }
    const bool empty = range.least && range.most &&
                       (*range.least > *range.most ||
                        (*range.least == *range.most && (range.above_least || range.below_most)));
    if (empty && shape.branched) return {};
    if (empty) return SchemaError(use.path, use.keyword, "contradicts: no number is left");
  }
  if (!range.bounded()) {
    rules.builder().AddCall(from, integers ? rules.Integer() : rules.Number(), to);
  } else if (integers) {
    AddIntegers(rules, from, range, to);
  } else {
    AddNumbers(rules, from, range, to);
  }
  return {};
}

}  // namespace atom::grammar
