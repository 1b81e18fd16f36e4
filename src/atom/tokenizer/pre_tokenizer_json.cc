#include "atom/tokenizer/pre_tokenizer_json.h"

#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "atom/io/quote.h"
#include "atom/tokenizer/step_list.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

using io::Json;
using CharacterKind = DelimiterCut::CharacterKind;

Result<DelimiterBehavior> ParseBehavior(const Json& step, std::optional<DelimiterBehavior> absent,
                                        const std::string& source) {
  const Result<std::optional<std::string>> name = io::OptionalString(step, "behavior", source);
  if (!name.ok()) return name.error();
  const auto behavior = name->has_value() ? FindDelimiterBehavior(**name) : absent;
  if (behavior) return *behavior;
  return MakeError("{}: field 'behavior' is {}, expected one of {}", source,
                   name->has_value() ? io::Quote(**name) : "missing", KnownDelimiterBehaviors());
}

Result<bool> ParseFlag(const Json& step, std::string_view key, bool absent,
                       const std::string& source) {
  const Result<std::optional<bool>> flag = io::OptionalBool(step, key, source);
  if (!flag.ok()) return flag.error();
  return flag->value_or(absent);
}

// A field of one character; nullopt if it is absent.
Result<std::optional<std::string>> ParseCharacter(const Json& step, std::string_view key,
                                                  const std::string& source) {
  Result<std::optional<std::string>> field = io::OptionalString(step, key, source);
  if (!field.ok() || !field->has_value()) return field;
  if (!(*field)->empty() && NextChar(**field, 0).length == (*field)->size()) return field;
  return MakeError("{}: field '{}' is {}, expected one character", source, key, io::Quote(**field));
}

// ---- readers, one per type

// The pattern that a function is written for, if the step asks for nothing else.
std::optional<SplitPattern> KnownPattern(const Json& step, DelimiterBehavior behavior,
                                         bool invert) {
  if (behavior != DelimiterBehavior::kIsolated || invert) return std::nullopt;
  const auto regex = step.at("pattern").find("Regex");
  if (regex == step.at("pattern").end() || !regex->is_string()) return std::nullopt;
  return FindSplitPattern(regex->get_ref<const std::string&>());
}

Result<PreTokenizer> ParseSplit(const Json& step, const std::string& source) {
  Result<TextPattern> pattern = TextPattern::Parse(step, source);
  if (!pattern.ok()) return pattern.error();
  const Result<DelimiterBehavior> behavior = ParseBehavior(step, std::nullopt, source);
  if (!behavior.ok()) return behavior.error();
  const Result<bool> invert = ParseFlag(step, "invert", false, source);
  if (!invert.ok()) return invert.error();
  if (const auto known = KnownPattern(step, *behavior, *invert)) return PreTokenizer(*known);
  return PreTokenizer(DelimiterCut(*std::move(pattern), *behavior, *invert));
}

Result<PreTokenizer> ParsePunctuation(const Json& step, const std::string& source) {
  const auto behavior = ParseBehavior(step, DelimiterBehavior::kIsolated, source);
  if (!behavior.ok()) return behavior.error();
  return PreTokenizer(DelimiterCut(CharacterKind::kPunctuation, *behavior));
}

Result<PreTokenizer> ParseDigits(const Json& step, const std::string& source) {
  const Result<bool> single = ParseFlag(step, "individual_digits", false, source);
  if (!single.ok()) return single.error();
  return PreTokenizer(*single ? SplitPattern::kSingleDigits : SplitPattern::kDigitRuns);
}

Result<PreTokenizer> ParseWhitespace(const Json&, const std::string&) {
  return PreTokenizer(
      DelimiterCut(DelimiterCut::WordRuns{}, DelimiterBehavior::kRemoved, /*invert=*/true));
}

Result<PreTokenizer> ParseWhitespaceSplit(const Json&, const std::string&) {
  return PreTokenizer(DelimiterCut(CharacterKind::kSpace, DelimiterBehavior::kRemoved));
}

Result<PreTokenizer> ParseCharDelimiter(const Json& step, const std::string& source) {
  const auto character = ParseCharacter(step, "delimiter", source);
  if (!character.ok()) return character.error();
  if (!character->has_value()) return MakeError("{}: field 'delimiter' is missing", source);
  return PreTokenizer(DelimiterCut(TextPattern(**character), DelimiterBehavior::kRemoved));
}

Result<PreTokenizer> ParseUnicodeScripts(const Json&, const std::string&) {
  return PreTokenizer(ScriptRuns{});
}

Result<PreTokenizer> ParseMetaspace(const Json& step, const std::string& source) {
  Metaspace metaspace;
  const auto replacement = ParseCharacter(step, "replacement", source);
  if (!replacement.ok()) return replacement.error();
  if (replacement->has_value()) metaspace.replacement = **replacement;
  const Result<MetaspacePrefix> prefix = ParseMetaspacePrefix(step, source);
  if (!prefix.ok()) return prefix.error();
  metaspace.prefix = *prefix;
  const Result<bool> split = ParseFlag(step, "split", true, source);
  if (!split.ok()) return split.error();
  metaspace.split = *split;
  return PreTokenizer(std::move(metaspace));
}

Result<PreTokenizer> ParseByteLevel(const Json& step, const std::string& source) {
  const Result<bool> prefix = ParseFlag(step, "add_prefix_space", true, source);
  if (!prefix.ok()) return prefix.error();
  const Result<bool> use_regex = ParseFlag(step, "use_regex", true, source);
  if (!use_regex.ok()) return use_regex.error();
  return PreTokenizer(ByteLevel{.add_prefix_space = *prefix, .use_regex = *use_regex});
}

struct Row {
  std::string_view type;
  Result<PreTokenizer> (*parse)(const Json& step, const std::string& source);
};
constexpr std::array<Row, 9> kRows = {{
    {"Split", ParseSplit},
    {"Punctuation", ParsePunctuation},
    {"Digits", ParseDigits},
    {"Whitespace", ParseWhitespace},
    {"WhitespaceSplit", ParseWhitespaceSplit},
    {"CharDelimiterSplit", ParseCharDelimiter},
    {"UnicodeScripts", ParseUnicodeScripts},
    {"Metaspace", ParseMetaspace},
    {"ByteLevel", ParseByteLevel},
}};

struct PrefixRow {
  std::string_view name;
  MetaspacePrefix prefix;
};
constexpr std::array<PrefixRow, 3> kPrefixSchemes = {{
    {"never", MetaspacePrefix::kNever},
    {"first", MetaspacePrefix::kFirst},
    {"always", MetaspacePrefix::kAlways},
}};

}  // namespace

Result<MetaspacePrefix> ParseMetaspacePrefix(const Json& step, const std::string& source) {
  const Result<std::optional<std::string>> scheme =
      io::OptionalString(step, "prepend_scheme", source);
  if (!scheme.ok()) return scheme.error();
  // Older files say it with a flag; without either it is "always".
  const Result<bool> flag = ParseFlag(step, "add_prefix_space", true, source);
  if (!flag.ok()) return flag.error();
  if (!scheme->has_value()) return *flag ? MetaspacePrefix::kAlways : MetaspacePrefix::kNever;
  for (const PrefixRow& row : kPrefixSchemes) {
    if (row.name == **scheme) return row.prefix;
  }
  return MakeError("{}: field 'prepend_scheme' is {}, expected never, first or always", source,
                   io::Quote(**scheme));
}

Result<std::vector<PreTokenizer>> ParsePreTokenizers(const Json& step, const std::string& source) {
  const auto list = FlattenSteps(step, "pretokenizers", source);
  if (!list.ok()) return list.error();
  std::vector<PreTokenizer> steps;
  for (const TypedStep& one : *list) {
    const Result<const Row*> row = FindStep(kRows, one.type, source);
    if (!row.ok()) return row.error();
    Result<PreTokenizer> parsed = (*row)->parse(*one.json, fmt::format("{} {}", source, one.type));
    if (!parsed.ok()) return parsed.error();
    steps.push_back(*std::move(parsed));
  }
  if (steps.size() == 1 && std::holds_alternative<Metaspace>(steps[0])) {
    std::get<Metaspace>(steps[0]).keeps_first_space = true;
  }
  return steps;
}

}  // namespace atom::tokenizer
