// What the tokens of one request have become: text that can be shown, and whether it has ended.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "atom/engine/request.h"
#include "atom/engine/stop_matcher.h"
#include "atom/tokenizer/stream_decoder.h"

namespace atom::engine {

class Answer {
 public:
  /// `end_ids` end the text. `tokenizer` must outlive this.
  Answer(const tokenizer::Tokenizer& tokenizer, const StopConditions& stop,
         bool skip_special_tokens, std::vector<int32_t> end_ids);

  int64_t tokens() const { return tokens_; }  ///< without the one that ended the text
  /// Takes the next token and tells `output` what can be shown.
  std::optional<FinishReason> Add(TokenOutput token, Output& output);
  /// No more tokens come: what was held back.
  void Finish(Output& output);

 private:
  tokenizer::StreamDecoder decoder_;
  StopMatcher matcher_;
  std::vector<int32_t> end_ids_;
  int64_t min_tokens_;
  int64_t max_tokens_;
  int64_t tokens_ = 0;
};

}  // namespace atom::engine
