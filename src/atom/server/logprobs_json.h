// Log-probabilities in the two forms that the OpenAI API has for them, written as JSON text while
// the tokens come: of a long prompt with twenty likeliest tokens each there are hundreds of
// thousands, so no tree is made of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "atom/engine/request.h"
#include "atom/server/text_offsets.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::server {

/// A token as /v1/completions names it: its text, or "bytes:\xe2\x96" if that is not UTF-8.
std::string TokenName(const tokenizer::Tokenizer& tokenizer, int32_t id);

/// The lists of /v1/completions, each without its brackets.
struct CompletionLogprobs {
  std::string tokens;
  std::string token_logprobs;
  std::string top_logprobs;
  std::string text_offset;

  /// The first token of a prompt has no log-probability: null.
  void AddPrompt(std::span<const engine::TokenOutput> prompt, const tokenizer::Tokenizer& tokenizer,
                 TextOffsets& offsets);
  void AddAnswer(std::span<const engine::TokenOutput> tokens, const tokenizer::Tokenizer& tokenizer,
                 TextOffsets& offsets);
  /// {"tokens": […], "token_logprobs": […], "top_logprobs": […], "text_offset": […]}, those of
  /// `before` first.
  std::string Json(const CompletionLogprobs* before = nullptr) const;

 private:
  void Add(const engine::TokenOutput& token, bool unknown, const TextOffsets::Place& place,
           const tokenizer::Tokenizer& tokenizer);
};

/// Appends {"token", "logprob", "bytes", "top_logprobs"}, …: the list that chat answers have,
/// without its brackets.
void AddChatLogprobs(std::span<const engine::TokenOutput> tokens,
                     const tokenizer::Tokenizer& tokenizer, std::string& list);

}  // namespace atom::server
