// The steps of a tokenizer.json that rewrite a text before it is cut into words, as values: NFC,
// NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Precompiled. One table has
// their names and readers; a Sequence is a list of them.
//
// Promises: texts as Hugging Face rewrites them, but for characters that are younger than its
// tables (of Unicode 9 for forms and marks): they are what Unicode 15 says. Ill-formed bytes stay
// as they are, and what lies between them is rewritten by itself (Strip and Prepend look at the
// whole). A text that grows beyond all measure is an Error.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/charsmap.h"
#include "atom/tokenizer/regex.h"
#include "atom/tokenizer/text_pattern.h"

namespace atom::tokenizer {

struct NormalizedText {
  std::string text;
  bool keeps_start = true;  ///< its first character stands for the first of the text it was
};

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
  using Precompiled = std::shared_ptr<const Charsmap>;  ///< a SentencePiece model's table
  using Step = std::variant<Form, Strip, Prepend, Replace, Precompiled>;

  explicit Normalizer(Step step) : step_(std::move(step)) {}

  /// Rewrites the text: at most `max_bytes`, or an Error.
  Status Apply(NormalizedText& normalized, RegexSteps& steps, size_t max_bytes) const;

  const Step& step() const { return step_; }

 private:
  Step step_;
};

/// The steps of `step`, which may be a Sequence of others, or null. `source` starts the errors'
/// sentences.
Result<std::vector<Normalizer>> ParseNormalizers(const io::Json& step, const std::string& source);

/// `text`, rewritten by all of `steps` in turn; at no time longer than 32 times as long, and a
/// page.
Result<NormalizedText> Normalize(const std::vector<Normalizer>& steps, std::string_view text,
                                 RegexSteps& budget);

}  // namespace atom::tokenizer
