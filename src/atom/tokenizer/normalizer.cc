#include "atom/tokenizer/normalizer.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

#include "atom/core/check.h"
#include "atom/tokenizer/base64.h"
#include "atom/tokenizer/normalization_form.h"
#include "atom/tokenizer/step_list.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

using io::Json;
using Form = Normalizer::Form;

// NFKC makes 11 bytes of one at most, ▁ for spaces three.
constexpr size_t kMaxGrowth = 32;
constexpr size_t kPage = 4096;

std::string ApplyForm(Form form, std::string_view text) {
  switch (form) {
    case Form::kNfc:
      return ToNormalizationForm(text, NormalizationForm::kNfc);
    case Form::kNfd:
      return ToNormalizationForm(text, NormalizationForm::kNfd);
    case Form::kNfkc:
      return ToNormalizationForm(text, NormalizationForm::kNfkc);
    case Form::kNfkd:
      return ToNormalizationForm(text, NormalizationForm::kNfkd);
    case Form::kLowercase:
      return ToLowercase(text);
    case Form::kStripAccents:
      return StripMarks(text);
  }
  ATOM_CHECK(false, "form {}", static_cast<int>(form));
  return {};
}

Error GrowsTooLong(size_t max_bytes) {
  return MakeError(
      "the normalizer makes more than {} bytes of a text, expected at most {} times as "
      "many as it has",
      max_bytes, kMaxGrowth);
}

bool BeginsWithMark(std::string_view text) {
  return !text.empty() && StripMarks(text.substr(0, NextChar(text, 0).length)).empty();
}

// How Hugging Face counts: what replaces several characters stands for the last of them.
bool ReplacesStart(const RegexMatch& match, std::string_view text, std::string_view content) {
  if (match.begin != 0 || match.end == 0) return false;
  return content.empty() || NextChar(text, 0).length < match.end;
}

Status ApplyReplace(const Normalizer::Replace& replace, NormalizedText& normalized,
                    RegexSteps& steps, size_t max_bytes) {
  const std::string text = std::move(normalized.text);
  std::vector<RegexMatch> matches;
  const Status found = replace.pattern.FindAll(text, steps, matches);
  if (!found.ok()) return found;
  std::string& result = normalized.text;
  result.clear();
  result.reserve(text.size());
  size_t pos = 0;
  for (const RegexMatch& match : matches) {
    result.append(text, pos, match.begin - pos).append(replace.content);
    pos = match.end;
    if (result.size() > max_bytes) return GrowsTooLong(max_bytes);
  }
  result.append(text, pos);
  if (!matches.empty() && ReplacesStart(matches[0], text, replace.content)) {
    normalized.keeps_start = false;
  }
  return {};
}

void ApplyStrip(const Normalizer::Strip& strip, NormalizedText& normalized) {
  std::string_view text = normalized.text;
  if (strip.left) text = TrimStart(text);
  if (text.size() < normalized.text.size()) normalized.keeps_start = false;
  if (strip.right) text = TrimEnd(text);
  normalized.text = std::string(text);
}

// ---- readers

Result<Normalizer> ParseForm(Form form) { return Normalizer(form); }

Result<Normalizer> ParseStrip(const Json& step, const std::string& source) {
  const Result<std::optional<bool>> left = io::OptionalBool(step, "strip_left", source);
  if (!left.ok()) return left.error();
  const Result<std::optional<bool>> right = io::OptionalBool(step, "strip_right", source);
  if (!right.ok()) return right.error();
  return Normalizer(Normalizer::Strip{left->value_or(true), right->value_or(true)});
}

Result<Normalizer> ParsePrepend(const Json& step, const std::string& source) {
  const Result<std::string> text = io::RequireString(step, "prepend", source);
  if (!text.ok()) return text.error();
  return Normalizer(Normalizer::Prepend{*text});
}

Result<Normalizer> ParseReplace(const Json& step, const std::string& source) {
  Result<TextPattern> pattern = TextPattern::Parse(step, source);
  if (!pattern.ok()) return pattern.error();
  Result<std::string> content = io::RequireString(step, "content", source);
  if (!content.ok()) return content.error();
  return Normalizer(Normalizer::Replace{*std::move(pattern), *std::move(content)});
}

Result<Normalizer> ParsePrecompiled(const Json& step, const std::string& source) {
  const Result<std::string> text = io::RequireString(step, "precompiled_charsmap", source);
  if (!text.ok()) return text.error();
  std::optional<std::string> bytes = DecodeBase64(*text);
  if (!bytes || !IsSafeCharsmap(*bytes)) {
    return MakeError("{}: field 'precompiled_charsmap' is not a table in base64, or damaged",
                     source);
  }
  return Normalizer(std::make_shared<const Charsmap>(*std::move(bytes)));
}

struct Row {
  std::string_view type;
  Result<Normalizer> (*parse)(const Json& step, const std::string& source);
};
constexpr std::array<Row, 10> kRows = {{
    {"NFC", [](const Json&, const std::string&) { return ParseForm(Form::kNfc); }},
    {"NFD", [](const Json&, const std::string&) { return ParseForm(Form::kNfd); }},
    {"NFKC", [](const Json&, const std::string&) { return ParseForm(Form::kNfkc); }},
    {"NFKD", [](const Json&, const std::string&) { return ParseForm(Form::kNfkd); }},
    {"Lowercase", [](const Json&, const std::string&) { return ParseForm(Form::kLowercase); }},
    {"StripAccents",
     [](const Json&, const std::string&) { return ParseForm(Form::kStripAccents); }},
    {"Strip", ParseStrip},
    {"Prepend", ParsePrepend},
    {"Replace", ParseReplace},
    {"Precompiled", ParsePrecompiled},
}};

}  // namespace

Status Normalizer::Apply(NormalizedText& normalized, RegexSteps& steps, size_t max_bytes) const {
  if (const auto* replace = std::get_if<Replace>(&step_)) {
    const Status replaced = ApplyReplace(*replace, normalized, steps, max_bytes);
    if (!replaced.ok()) return replaced;
  } else if (const auto* form = std::get_if<Form>(&step_)) {
    const std::string text = std::exchange(normalized.text, {});
    normalized.text = ApplyForm(*form, text);
    // Of the forms only this one leaves characters out.
    if (*form == Form::kStripAccents && BeginsWithMark(text)) {
      normalized.keeps_start = false;
    }
  } else if (const auto* prepend = std::get_if<Prepend>(&step_)) {
    if (normalized.text.empty()) return {};
    normalized.text.insert(0, prepend->text);
    normalized.keeps_start = normalized.keeps_start || !prepend->text.empty();
  } else if (const auto* charsmap = std::get_if<Precompiled>(&step_)) {
    normalized.text = (*charsmap)->Apply(normalized.text);
  } else {
    ApplyStrip(std::get<Strip>(step_), normalized);
  }
  if (normalized.text.size() > max_bytes) return GrowsTooLong(max_bytes);
  return {};
}

Result<std::vector<Normalizer>> ParseNormalizers(const Json& step, const std::string& source) {
  const auto list = FlattenSteps(step, "normalizers", source);
  if (!list.ok()) return list.error();
  std::vector<Normalizer> steps;
  for (const TypedStep& one : *list) {
    const Result<const Row*> row = FindStep(kRows, one.type, source);
    if (!row.ok()) return row.error();
    Result<Normalizer> parsed = (*row)->parse(*one.json, fmt::format("{} {}", source, one.type));
    if (!parsed.ok()) return parsed.error();
    steps.push_back(*std::move(parsed));
  }
  return steps;
}

Result<NormalizedText> Normalize(const std::vector<Normalizer>& steps, std::string_view text,
                                 RegexSteps& budget) {
  const size_t max_bytes = kMaxGrowth * text.size() + kPage;
  NormalizedText normalized{std::string(text)};
  for (const Normalizer& step : steps) {
    const Status applied = step.Apply(normalized, budget, max_bytes);
    if (!applied.ok()) return applied.error();
  }
  return normalized;
}

}  // namespace atom::tokenizer
