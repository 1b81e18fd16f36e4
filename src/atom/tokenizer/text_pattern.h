// What a step of a tokenizer.json looks for: {"pattern": {"String": …}} or {"pattern": {"Regex":
// …}}.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/regex.h"

namespace atom::tokenizer {

class TextPattern {
 public:
  /// REQUIRES: not empty.
  explicit TextPattern(std::string text) : pattern_(std::move(text)) {}
  explicit TextPattern(Regex regex) : pattern_(std::make_shared<const Regex>(std::move(regex))) {}

  /// The field 'pattern' of `step`. `source` starts the errors' sentences.
  static Result<TextPattern> Parse(const io::Json& step, const std::string& source);

  /// Appends the matches in `text` from left to right.
  Status FindAll(std::string_view text, RegexSteps& steps, std::vector<RegexMatch>& matches) const;

 private:
  std::variant<std::string, std::shared_ptr<const Regex>> pattern_;
};

}  // namespace atom::tokenizer
