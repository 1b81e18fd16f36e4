// Log-probabilities in the two forms that the OpenAI API has for them.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "atom/engine/request.h"
#include "atom/io/json.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::server {

/// A token as /v1/completions names it: its text, or "bytes:\xe2\x96" if that is not UTF-8.
std::string TokenName(const tokenizer::Tokenizer& tokenizer, int32_t id);

/// {"tokens": […], "token_logprobs": […], "top_logprobs": […], "text_offset": […]}. Offsets count
/// characters; `offset` moves on. The first token of a prompt has no log-probability: null.
io::Json CompletionLogprobs(std::span<const engine::TokenOutput> tokens, bool start_of_prompt,
                            const tokenizer::Tokenizer& tokenizer, int64_t& offset);
/// Puts the lists of `more` behind those of `logprobs`.
void Append(io::Json& logprobs, const io::Json& more);

/// {"content": [{"token", "logprob", "bytes", "top_logprobs"}, …]}
io::Json ChatLogprobs(std::span<const engine::TokenOutput> tokens,
                      const tokenizer::Tokenizer& tokenizer);

}  // namespace atom::server
