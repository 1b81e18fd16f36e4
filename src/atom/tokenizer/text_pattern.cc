#include "atom/tokenizer/text_pattern.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace atom::tokenizer {

Result<TextPattern> TextPattern::Parse(const io::Json& step, const std::string& source) {
  const Result<const io::Json*> pattern = io::RequireObject(step, "pattern", source);
  if (!pattern.ok()) return pattern.error();
  const Result<std::optional<std::string>> text = io::OptionalString(**pattern, "String", source);
  if (!text.ok()) return text.error();
  if (text->has_value()) {
    if (!(*text)->empty()) return TextPattern(**text);
    return MakeError("{}: field 'String' of the pattern is empty, expected text", source);
  }
  const Result<std::string> expression = io::RequireString(**pattern, "Regex", source);
  if (!expression.ok()) return expression.error();
  Result<Regex> regex = Regex::Compile(*expression, source);
  if (!regex.ok()) return regex.error();
  return TextPattern(*std::move(regex));
}

Status TextPattern::FindAll(std::string_view text, RegexSteps& steps,
                            std::vector<RegexMatch>& matches) const {
  if (const auto* regex = std::get_if<std::shared_ptr<const Regex>>(&pattern_)) {
    return (*regex)->FindAll(text, steps, matches);
  }
  const std::string& wanted = std::get<std::string>(pattern_);
  for (size_t pos = text.find(wanted); pos != text.npos;) {
    matches.push_back({pos, pos + wanted.size()});
    pos = text.find(wanted, pos + wanted.size());
  }
  return {};
}

}  // namespace atom::tokenizer
