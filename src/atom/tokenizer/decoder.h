// The decoder of a tokenizer.json: how the spelling of a token becomes the bytes that it adds to a
// text. Decoding is a table by id here, so that a stream needs no more than the next token: steps
// are applied to each token when the file is read, and what a decoder does to the whole text
// (behind Fuse) may only be to drop the space that it begins with.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/normalizer.h"
#include "atom/tokenizer/pre_tokenizer.h"
#include "atom/tokenizer/regex.h"
#include "atom/tokenizer/text_pattern.h"

namespace atom::tokenizer {

class Decoder {
 public:
  struct FromAlphabet {};   ///< ByteLevel: a token outside the byte alphabet stays as it is
  struct FromByteToken {};  ///< ByteFallback: <0x0A> is a newline
  struct Replace {
    TextPattern pattern;
    std::string content;
  };
  /// Up to so many of the character at either end of a token.
  struct Strip {
    std::string character;
    int64_t start;
    int64_t stop;
  };
  using Step = std::variant<FromAlphabet, FromByteToken, Replace, Strip>;

  Decoder() = default;
  Decoder(std::vector<Step> steps, bool strips_space)
      : steps_(std::move(steps)), strips_space_(strips_space) {}

  /// `step` may be a Sequence. `source` starts the errors' sentences.
  static Result<Decoder> Parse(const io::Json& step, const std::string& source);

  /// For a file without one: what undoes the steps of encoding.
  static Decoder Undoing(const std::vector<Normalizer>& normalizers,
                         const std::vector<PreTokenizer>& pre_tokenizers, bool byte_fallback);

  /// What a token adds in the middle of a text.
  Result<std::string> BytesOf(std::string_view spelling, RegexSteps& budget) const;

  /// Whether one space at the start of a text is dropped.
  bool strips_space() const { return strips_space_; }

 private:
  std::vector<Step> steps_;
  bool strips_space_ = false;
};

}  // namespace atom::tokenizer
