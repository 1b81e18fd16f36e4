// A regular expression out of a tokenizer file, run by Oniguruma, whose syntax and Unicode
// properties Hugging Face's tokenizers have: \p{Han}, [a-z&&[^aeiou]], lookarounds, possessive
// quantifiers.
//
// Promises: the matches are those of Hugging Face's find_iter. Any bytes are accepted; an
// ill-formed part counts as a character that is neither letter, number nor space. Work is counted
// (regex_meter.h): a search that needs more steps than its text is given is an Error that names the
// expression, always the same. Any number of threads may search with one Regex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"

namespace atom::tokenizer {

/// What all searches in one text may take together. Published expressions take 2 to 5 steps a byte;
/// a step is at most about 30 ns.
struct RegexSteps {
  explicit RegexSteps(size_t text_bytes) : left(4'000'000 + 100 * uint64_t{text_bytes}) {}
  uint64_t left;
};

struct RegexMatch {
  size_t begin;
  size_t end;  ///< bytes
};

class Regex {
 public:
  /// `source` starts the errors' sentences, those of FindAll too.
  static Result<Regex> Compile(std::string_view regex, const std::string& source);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  /// Appends the matches in `text` from left to right; they do not overlap. An empty one is left
  /// out where another ended; a text without bytes has none.
  Status FindAll(std::string_view text, RegexSteps& steps, std::vector<RegexMatch>& matches) const;

 private:
  struct Compiled;
  explicit Regex(std::unique_ptr<Compiled> compiled);

  std::unique_ptr<Compiled> compiled_;
};

}  // namespace atom::tokenizer
