#include "atom/grammar/json_schema/enum_values.h"

#include <algorithm>
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

bool FitsBound(const KeywordUse& use, const SchemaValue& value) {
  const std::optional<Decimal> bound = ParseDecimal(use.value->text);
  const std::optional<Decimal> number = ParseDecimal(value.text);
  const bool exact = bound && number;  // or too large for the difference to matter
  const bool below = exact ? *number < *bound : value.AsDouble() < use.value->AsDouble();
  const bool above = exact ? *bound < *number : value.AsDouble() > use.value->AsDouble();
  if (!below && !above) return !use.keyword.starts_with("exclusive");
  return use.keyword.ends_with("inimum") ? above : below;
}

bool FitsMultiple(const KeywordUse& use, const SchemaValue& value) {
  const std::optional<Decimal> of = ParseDecimal(use.value->text);
  const std::optional<Decimal> number = ParseDecimal(value.text);
  return of && number && IsMultiple(*number, *of);
}

bool FitsNumber(const Shape& shape, const SchemaValue& value) {
  return std::ranges::all_of(shape.bounds,
                             [&](const KeywordUse& use) { return FitsBound(use, value); }) &&
         std::ranges::all_of(shape.multiples,
                             [&](const KeywordUse& use) { return FitsMultiple(use, value); });
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
