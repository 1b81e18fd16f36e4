// The steps of a tokenizer.json that rewrite a text before it is cut into words, as values: NFC,
// NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace. One table has their names and
// readers; a Sequence is a list of them.
//
// Promises: texts as Hugging Face rewrites them, but for characters that are younger than its
// tables (of Unicode 9 for forms and marks): they are what Unicode 15 says. Ill-formed bytes stay
// as they are, and what lies between them is rewritten by itself (Strip and Prepend look at the
// whole). A text that grows beyond all measure is an Error.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/regex.h"
#include "atom/tokenizer/text_pattern.h"

namespace atom::tokenizer {

class Normalizer {
 public:
  enum class Form { kNfc, kNfd, kNfkc, kNfkd, kLowercase, kStripAccents };
  struct Strip {
    bool left;
    bool right;
  };
  struct Prepend {
    std::string text;  ///< in front of a text that is not empty
  };
  struct Replace {
    TextPattern pattern;
    std::string content;  ///< as it stands
  };
  using Step = std::variant<Form, Strip, Prepend, Replace>;

  explicit Normalizer(Step step) : step_(std::move(step)) {}

  /// `text`, rewritten: at most `max_bytes`, or an Error.
  Result<std::string> Apply(std::string_view text, RegexSteps& steps, size_t max_bytes) const;

 private:
  Step step_;
};

/// Whether a step of this "type" is one of those here.
bool IsNormalizer(std::string_view type);

/// Reads one step. REQUIRES: IsNormalizer(its type). `source` starts the errors' sentences.
Result<Normalizer> ParseNormalizer(const io::Json& step, std::string_view type,
                                   const std::string& source);

/// `text`, rewritten by all of `steps` in turn; at no time longer than 32 times as long, and a
/// page.
Result<std::string> Normalize(const std::vector<Normalizer>& steps, std::string_view text);

}  // namespace atom::tokenizer
