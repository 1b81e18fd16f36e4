#include "atom/tokenizer/normalizer.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

#include "atom/core/check.h"
#include "atom/tokenizer/normalization_form.h"
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

Result<std::string> ApplyReplace(const Normalizer::Replace& replace, std::string_view text,
                                 RegexSteps& steps, size_t max_bytes) {
  std::vector<RegexMatch> matches;
  const Status found = replace.pattern.FindAll(text, steps, matches);
  if (!found.ok()) return found.error();
  std::string result;
  result.reserve(text.size());
  size_t pos = 0;
  for (const RegexMatch& match : matches) {
    result.append(text.substr(pos, match.begin - pos)).append(replace.content);
    pos = match.end;
    if (result.size() > max_bytes) return GrowsTooLong(max_bytes);
  }
  return std::move(result.append(text.substr(pos)));
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

struct Row {
  std::string_view type;
  Result<Normalizer> (*parse)(const Json& step, const std::string& source);
};
constexpr std::array<Row, 9> kRows = {{
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
}};

const Row* FindRow(std::string_view type) {
  const auto* row = std::find_if(kRows.begin(), kRows.end(),
                                 [&](const Row& known) { return known.type == type; });
  return row == kRows.end() ? nullptr : row;
}

}  // namespace

Result<std::string> Normalizer::Apply(std::string_view text, RegexSteps& steps,
                                      size_t max_bytes) const {
  if (const auto* replace = std::get_if<Replace>(&step_)) {
    Result<std::string> replaced = ApplyReplace(*replace, text, steps, max_bytes);
    if (!replaced.ok() || replaced->size() <= max_bytes) return replaced;
    return GrowsTooLong(max_bytes);
  }
  std::string result;
  if (const auto* form = std::get_if<Form>(&step_)) {
    result = ApplyForm(*form, text);
  } else if (const auto* prepend = std::get_if<Prepend>(&step_)) {
    if (!text.empty()) result = prepend->text;
    result += text;
  } else {
    const Strip& strip = std::get<Strip>(step_);
    if (strip.left) text = TrimStart(text);
    if (strip.right) text = TrimEnd(text);
    result = text;
  }
  if (result.size() > max_bytes) return GrowsTooLong(max_bytes);
  return result;
}

bool IsNormalizer(std::string_view type) { return FindRow(type) != nullptr; }

Result<Normalizer> ParseNormalizer(const Json& step, std::string_view type,
                                   const std::string& source) {
  const Row* row = FindRow(type);
  ATOM_CHECK(row != nullptr, "normalizer {}", type);
  return row->parse(step, source);
}

Result<std::string> Normalize(const std::vector<Normalizer>& steps, std::string_view text) {
  RegexSteps budget(text.size());
  const size_t max_bytes = kMaxGrowth * text.size() + kPage;
  std::string normalized(text);
  for (const Normalizer& step : steps) {
    Result<std::string> next = step.Apply(normalized, budget, max_bytes);
    if (!next.ok()) return next.error();
    normalized = *std::move(next);
  }
  return normalized;
}

}  // namespace atom::tokenizer
