#include "atom/tokenizer/tokenizer_json_rules.h"

#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "atom/io/quote.h"

namespace atom::tokenizer {
namespace {

using io::Json;

// One parser per kind of step: what the step's "type" is called, and what reads it. `source` names
// file and step.
struct StepRow {
  std::string_view type;
  Status (*parse)(const Json& step, const std::string& source, TokenizerJsonRules& rules);
};

// Reads a step, or each member of a "Sequence" of steps (whose list is called `list_name`).
Status ParseSteps(const Json& step, std::span<const StepRow> known, std::string_view list_name,
                  const std::string& source, TokenizerJsonRules& rules) {
  if (step.is_null()) return {};
  const Result<std::string> type = io::RequireString(step, "type", source);
  if (!type.ok()) return type.error();
  if (*type == "Sequence") {
    const Result<const Json*> list = io::RequireArray(step, list_name, source);
    if (!list.ok()) return list.error();
    for (const Json& member : **list) {
      const Status parsed = ParseSteps(member, known, list_name, source, rules);
      if (!parsed.ok()) return parsed;
    }
    return {};
  }
  std::string names = "Sequence";
  for (const StepRow& row : known) {
    if (row.type == *type) return row.parse(step, fmt::format("{} {}", source, row.type), rules);
    names += fmt::format(", {}", row.type);
  }
  return MakeError("{} {} is not known; known are {}", source, io::Quote(*type), names);
}

Status Accept(const Json&, const std::string&, TokenizerJsonRules&) { return {}; }

// An Error unless the string field is `expected`.
Status ExpectString(const Json& step, std::string_view key, std::string_view expected,
                    const std::string& source) {
  const Result<std::string> found = io::RequireString(step, key, source);
  if (!found.ok()) return found.error();
  if (*found == expected) return {};
  return MakeError("{}: field '{}' is {}, expected {}", source, key, io::Quote(*found),
                   io::Quote(expected));
}

// An Error unless the flag, `absent` if it is not there, is `expected`.
Status ExpectFlag(const Json& step, std::string_view key, bool absent, bool expected,
                  const std::string& source) {
  const Result<std::optional<bool>> found = io::OptionalBool(step, key, source);
  if (!found.ok()) return found.error();
  if (found->value_or(absent) == expected) return {};
  return MakeError("{}: field '{}' is {}, expected {}, the only form known", source, key, !expected,
                   expected);
}

// {"pattern": {"String": …}}; a pattern that is a regular expression is none of ours.
Result<std::string> PatternString(const Json& step, std::string_view kind,
                                  const std::string& source) {
  const Result<const Json*> pattern = io::RequireObject(step, "pattern", source);
  if (!pattern.ok()) return pattern.error();
  return io::RequireString(**pattern, kind, source);
}

// ---- normalizer

Status ParsePrepend(const Json& step, const std::string& source, TokenizerJsonRules& rules) {
  rules.normalizer.prepend = true;
  return ExpectString(step, "prepend", kMetaspace, source);
}

Status ParseReplace(const Json& step, const std::string& source, TokenizerJsonRules& rules) {
  const Result<std::string> pattern = PatternString(step, "String", source);
  if (!pattern.ok()) return pattern.error();
  if (*pattern != " ") {
    return MakeError("{}: replaces {}, expected a space, the only form known", source,
                     io::Quote(*pattern));
  }
  rules.normalizer.replace = true;
  return ExpectString(step, "content", kMetaspace, source);
}

constexpr std::array<StepRow, 2> kNormalizers = {{
    {"Prepend", ParsePrepend},
    {"Replace", ParseReplace},
}};

// ---- pre_tokenizer

struct PrefixRow {
  std::string_view name;
  MetaspacePrefix prefix;
};
constexpr std::array<PrefixRow, 3> kPrefixSchemes = {{
    {"never", MetaspacePrefix::kNever},
    {"first", MetaspacePrefix::kFirst},
    {"always", MetaspacePrefix::kAlways},
}};

Result<MetaspacePrefix> ParsePrefix(const Json& step, const std::string& source) {
  const Result<std::optional<std::string>> scheme =
      io::OptionalString(step, "prepend_scheme", source);
  if (!scheme.ok()) return scheme.error();
  // Older files say it with a flag; without either it is "always".
  const Result<std::optional<bool>> flag = io::OptionalBool(step, "add_prefix_space", source);
  if (!flag.ok()) return flag.error();
  if (!scheme->has_value()) {
    return flag->value_or(true) ? MetaspacePrefix::kAlways : MetaspacePrefix::kNever;
  }
  for (const PrefixRow& row : kPrefixSchemes) {
    if (row.name == **scheme) return row.prefix;
  }
  return MakeError("{}: field 'prepend_scheme' is {}, expected never, first or always", source,
                   io::Quote(**scheme));
}

Status ParseMetaspace(const Json& step, const std::string& source, TokenizerJsonRules& rules) {
  const Status replacement = ExpectString(step, "replacement", kMetaspace, source);
  if (!replacement.ok()) return replacement;
  const Result<MetaspacePrefix> prefix = ParsePrefix(step, source);
  if (!prefix.ok()) return prefix.error();
  const Result<std::optional<bool>> split = io::OptionalBool(step, "split", source);
  if (!split.ok()) return split.error();
  rules.metaspace = {true, *prefix, split->value_or(true)};
  return {};
}

Status ParseByteLevel(const Json& step, const std::string& source, TokenizerJsonRules& rules) {
  const Status no_prefix = ExpectFlag(step, "add_prefix_space", true, false, source);
  if (!no_prefix.ok()) return no_prefix;
  const Result<std::optional<bool>> use_regex = io::OptionalBool(step, "use_regex", source);
  if (!use_regex.ok()) return use_regex.error();
  if (use_regex->value_or(true)) rules.patterns.push_back(SplitPattern::kGpt2);
  rules.byte_level = true;
  return {};
}

// Where a step has to come that cuts text, not bytes.
Status RefuseAfterByteLevel(const std::string& source, const TokenizerJsonRules& rules) {
  if (!rules.byte_level) return {};
  return MakeError("{}: comes after ByteLevel, expected before it, the only form known", source);
}

Status ParseDigits(const Json& step, const std::string& source, TokenizerJsonRules& rules) {
  if (Status refused = RefuseAfterByteLevel(source, rules); !refused.ok()) return refused;
  const Result<std::optional<bool>> single = io::OptionalBool(step, "individual_digits", source);
  if (!single.ok()) return single.error();
  rules.patterns.push_back(single->value_or(false) ? SplitPattern::kSingleDigits
                                                   : SplitPattern::kDigitRuns);
  return {};
}

Status ParseSplit(const Json& step, const std::string& source, TokenizerJsonRules& rules) {
  if (Status refused = RefuseAfterByteLevel(source, rules); !refused.ok()) return refused;
  const Result<std::string> regex = PatternString(step, "Regex", source);
  if (!regex.ok()) return regex.error();
  const std::optional<SplitPattern> pattern = FindSplitPattern(*regex);
  if (!pattern) {
    return MakeError("{}: the regular expression {} is not known; known are those of {}", source,
                     io::Quote(*regex), KnownSplitPatterns());
  }
  rules.patterns.push_back(*pattern);
  const Status behavior = ExpectString(step, "behavior", "Isolated", source);
  return behavior.ok() ? ExpectFlag(step, "invert", false, false, source) : behavior;
}

constexpr std::array<StepRow, 4> kPreTokenizers = {{
    {"Metaspace", ParseMetaspace},
    {"ByteLevel", ParseByteLevel},
    {"Split", ParseSplit},
    {"Digits", ParseDigits},
}};

// ---- post_processor

Status ParseTemplate(const Json& step, const std::string& source, TokenizerJsonRules& rules) {
  const Result<const Json*> single = io::RequireArray(step, "single", source);
  if (!single.ok()) return single.error();
  for (const Json& part : **single) {
    if (part.is_object() && part.contains("Sequence")) return {};  // the rest follows the text
    const Result<const Json*> special = io::RequireObject(part, "SpecialToken", source);
    if (!special.ok()) return special.error();
    Result<std::string> token = io::RequireString(**special, "id", source);
    if (!token.ok()) return token.error();
    if (rules.first_token) {
      return MakeError("{}: puts {} and {} before a text, expected one token at most", source,
                       io::Quote(*rules.first_token), io::Quote(*token));
    }
    rules.first_token = *std::move(token);
  }
  return MakeError("{}: field 'single' has no Sequence, the text itself", source);
}

constexpr std::array<StepRow, 2> kPostProcessors = {{
    {"ByteLevel", Accept},  // trims offsets, which are not kept here
    {"TemplateProcessing", ParseTemplate},
}};

// ---- decoder

constexpr std::array<StepRow, 6> kDecoders = {{
    {"ByteLevel", Accept},
    {"Metaspace", Accept},
    {"Replace", Accept},
    {"ByteFallback", Accept},
    {"Fuse", Accept},
    {"Strip", Accept},
}};

struct StageRow {
  std::string_view name;
  std::span<const StepRow> steps;
  std::string_view list_name;
};
constexpr std::array<StageRow, 4> kStages = {{
    {"normalizer", kNormalizers, "normalizers"},
    {"pre_tokenizer", kPreTokenizers, "pretokenizers"},
    {"post_processor", kPostProcessors, "processors"},
    {"decoder", kDecoders, "decoders"},
}};

}  // namespace

Result<TokenizerJsonRules> ParseTokenizerJsonRules(const Json& json, const std::string& source) {
  TokenizerJsonRules rules;
  for (const StageRow& stage : kStages) {
    const auto step = json.find(stage.name);
    if (step == json.end()) continue;
    const Status parsed = ParseSteps(*step, stage.steps, stage.list_name,
                                     fmt::format("{}: {}", source, stage.name), rules);
    if (!parsed.ok()) return parsed.error();
  }
  const bool characters = rules.metaspace.replace_spaces || rules.normalizer.active();
  if (rules.byte_level && characters) {
    return MakeError("{}: both ByteLevel and ▁ for spaces are asked for, expected one of them",
                     source);
  }
  if (!rules.byte_level && !rules.patterns.empty()) {
    return MakeError("{}: pre_tokenizer Split or Digits without ByteLevel, expected both", source);
  }
  return rules;
}

}  // namespace atom::tokenizer
