#include "atom/engine/answer.h"

#include <algorithm>
#include <utility>

namespace atom::engine {

Answer::Answer(const tokenizer::Tokenizer& tokenizer, const StopConditions& stop,
               bool skip_special_tokens, std::vector<int32_t> end_ids)
    : decoder_(tokenizer, {.at_start = false, .keep_special = !skip_special_tokens}),
      matcher_(stop.strings, stop.include_string),
      end_ids_(std::move(end_ids)),
      min_tokens_(stop.min_tokens),
      max_tokens_(stop.max_tokens) {}

std::optional<FinishReason> Answer::Add(TokenOutput token, Output& output) {
  if (std::ranges::find(end_ids_, token.id) != end_ids_.end()) {
    output.end_token = std::move(token);
    return FinishReason::kStop;
  }
  ++tokens_;
  std::string text = decoder_.Push(token.id);
  output.text += tokens_ < min_tokens_ ? std::move(text) : matcher_.Push(text);
  output.tokens.push_back(std::move(token));
  if (matcher_.stopped()) return FinishReason::kStop;
  if (tokens_ >= max_tokens_) return FinishReason::kLength;
  return std::nullopt;
}

void Answer::Finish(Output& output) {
  output.text += matcher_.Push(decoder_.Finish());
  output.text += matcher_.Finish();
}

}  // namespace atom::engine
