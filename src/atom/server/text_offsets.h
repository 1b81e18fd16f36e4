// Where the tokens of a completion stand in its text, for "text_offset": characters from the start
// of the prompt, if it is shown, or else of the answer.
//
// Promises: text[offset:] begins with the token, but for special tokens that are not in the text: a
// bos that the tokenizer added, and those of an answer that leaves them out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "atom/tokenizer/stream_decoder.h"

namespace atom::server {

class TextOffsets {
 public:
  /// `prompt` is the text in front of the answer, "" if none is shown. `tokenizer` must outlive
  /// this.
  TextOffsets(const tokenizer::Tokenizer& tokenizer, std::string prompt, bool skip_special_tokens);

  struct Place {
    int64_t offset = 0;
    bool without_space = false;  ///< the token's space was added by the tokenizer: not in the text
  };
  /// The next token of the prompt.
  Place NextOfPrompt(int32_t id);
  /// The next token of the answer; the prompt's are over.
  Place NextOfAnswer(int32_t id);

 private:
  /// Steps over so much of the prompt.
  void Advance(size_t bytes);

  const tokenizer::Tokenizer& tokenizer_;
  std::string prompt_;
  size_t at_ = 0;           // bytes of the prompt whose tokens came
  int64_t characters_ = 0;  // that begin in front of that, and then those of the answer
  bool answering_ = false;
  tokenizer::StreamDecoder answer_;
};

}  // namespace atom::server
