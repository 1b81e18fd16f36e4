#include "atom/grammar/json_schema/enum_values.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "atom/grammar/json_schema/multiple_of.h"
#include "atom/grammar/json_schema/string_rule.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::grammar {
namespace {

std::vector<char32_t> CharactersOf(std::string_view text) {
  std::vector<char32_t> characters;
  for (size_t pos = 0; pos < text.size();) {
    const tokenizer::Utf8Char next = tokenizer::NextChar(text, pos);
    characters.push_back(next.code);
    pos += next.length;
  }
  return characters;
}

bool Holds(const CharSet& chars, char32_t code) {
  return std::ranges::any_of(
      chars, [code](const CharRange& range) { return range.low <= code && code <= range.high; });
}

bool Matches(const Dfa& dfa, const std::vector<char32_t>& text) {
  size_t state = 0;
  for (const char32_t code : text) {
    const std::vector<DfaEdge>& edges = dfa.states[state].edges;
    const auto edge = std::ranges::find_if(
        edges, [code](const DfaEdge& each) { return Holds(each.chars, code); });
    if (edge == edges.end()) return false;
    state = edge->to;
  }
  return !dfa.states.empty() && dfa.states[state].accepts;
}

bool FitsString(const Shape& shape, const std::optional<Dfa>& patterns, const std::string& text) {
  const std::vector<char32_t> characters = CharactersOf(text);
  const auto length = static_cast<int64_t>(characters.size());
  return length >= shape.min_length && length <= shape.max_length.value_or(length) &&
         (!patterns || Matches(*patterns, characters));
}

/// -1, 0 or 1, exact for integers.
int Compare(const SchemaValue& a, const SchemaValue& b) {
  const std::optional<int64_t> x = a.AsInteger();
  const std::optional<int64_t> y = b.AsInteger();
  if (x && y) return *x < *y ? -1 : *x > *y ? 1 : 0;
  const double u = a.AsDouble();
  const double v = b.AsDouble();
  return u < v ? -1 : u > v ? 1 : 0;
}

bool FitsBound(const KeywordUse& use, const SchemaValue& value) {
  const int order = Compare(value, *use.value);
  const bool strict = use.keyword.starts_with("exclusive");
  if (order == 0) return !strict;
  return use.keyword.ends_with("inimum") ? order > 0 : order < 0;
}

bool IsMultiple(const SchemaValue& value, const SchemaValue& of) {
  const std::optional<Decimal> a = ParseDecimal(value);
  const std::optional<Decimal> b = ParseDecimal(of);
  if (!a || !b || b->factor == 0) return false;
  // Both in the smaller of the two units.
  const int decimals = std::max(a->decimals, b->decimals);
  const auto scaled = [decimals](const Decimal& number) {
    return static_cast<long double>(number.factor) *
           std::pow(10.0L, static_cast<long double>(decimals - number.decimals));
  };
  return std::fmod(scaled(*a), scaled(*b)) == 0.0L;
}

bool FitsNumber(const Shape& shape, const SchemaValue& value) {
  return std::ranges::all_of(shape.bounds,
                             [&](const KeywordUse& use) { return FitsBound(use, value); }) &&
         std::ranges::all_of(shape.multiples,
                             [&](const KeywordUse& use) { return IsMultiple(value, *use.value); });
}

}  // namespace

Result<std::vector<const SchemaValue*>> ValuesOf(const Shape& shape, RegexBudget& budget) {
  std::optional<Dfa> patterns;
  if (!shape.patterns.empty()) {
    Result<Dfa> conjoined = ConjoinPatterns(shape, budget);
    if (!conjoined.ok()) return conjoined.error();
    patterns = *std::move(conjoined);
  }
  std::vector<const SchemaValue*> values = *shape.values;
  std::erase_if(values, [&](const SchemaValue* value) {
    if (value->Is(SchemaValue::Kind::kString)) return !FitsString(shape, patterns, value->text);
    return value->Is(SchemaValue::Kind::kNumber) && !FitsNumber(shape, *value);
  });
  if (values.empty() && !shape.branched) {
    return MakeError(
        "the schema at {}: no value of enum and const satisfies the keywords beside it",
        io::Quote(shape.path));
  }
  return values;
}

}  // namespace atom::grammar
