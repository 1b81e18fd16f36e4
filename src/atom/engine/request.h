// What the engine is asked for and what it answers: plain data. A Request goes in through the
// engine's inbox, Outputs come back, one for each step in which something happened to the request;
// the last one has a FinishReason.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/engine/token_constraint.h"
#include "atom/kernels/log_probs.h"
#include "atom/kernels/sampling.h"

namespace atom::engine {

using RequestId = int64_t;

/// How each next token is chosen: names and meanings of the OpenAI API, of vLLM where that has
/// none.
struct Sampling {
  float temperature = 1.0f;  ///< 0: the largest logit
  int32_t top_k = 0;         ///< 0: no limit
  float top_p = 1.0f;
  float min_p = 0.0f;  ///< of the likeliest token's probability
  /// Positive logits of tokens in the prompt or the answer are divided by it, negative ones
  /// multiplied, before anything below; > 0.
  float repetition_penalty = 1.0f;
  float presence_penalty = 0.0f;   ///< subtracted once from a token that the answer has
  float frequency_penalty = 0.0f;  ///< subtracted as often as the answer has it
  std::vector<kernels::TokenValue> logit_bias = {};  ///< added
  std::optional<uint64_t> seed = {};                 ///< absent: the engine draws one
};

/// When an answer ends.
struct StopConditions {
  int64_t max_tokens = 16;
  int64_t min_tokens = 0;  ///< before that, no token or string ends the text
  bool ignore_eos = false;
  std::vector<int32_t> token_ids = {};    ///< besides the model's own end-of-text tokens
  std::vector<std::string> strings = {};  ///< the text ends in front of the first that appears
  bool include_string = false;            ///< or behind it
};

struct Request {
  RequestId id = 0;             ///< the caller's; unique among the requests that have not finished
  std::vector<int32_t> prompt;  ///< at least one token
  Sampling sampling;
  StopConditions stop;
  int32_t priority = 0;          ///< smaller is served first
  int32_t logprobs = -1;         ///< of each token and of so many likeliest; -1: none
  int32_t prompt_logprobs = -1;  ///< the same for the prompt's tokens
  /// The first of the prompt's tokens that prompt_logprobs speaks of: Output::prompt begins with
  /// it. What lies before it may come from the prefix cache; with 0, everything is computed.
  int64_t prompt_logprobs_from = 0;
  double timeout_seconds = 0.0;        ///< from its arrival on; 0: none
  double queue_timeout_seconds = 0.0;  ///< likewise until it begins to be computed
  bool skip_special_tokens = true;     ///< they are tokens of the answer, but not in its text
  std::unique_ptr<TokenConstraint> constraint;  ///< null: any token
};

/// Most likeliest tokens that a request may ask for.
inline constexpr int32_t kMaxLogprobs = kernels::kMostTopTokens;

/// What requests must fit.
struct RequestLimits {
  int64_t vocabulary = 0;
  int64_t context = 0;  ///< positions
};
/// Whether every part of a request is in range, and its prompt fits.
Status CheckRequest(const Request& request, const RequestLimits& limits);

enum class FinishReason {
  kStop,     ///< end-of-text, a stop string or a stop token
  kLength,   ///< max_tokens, or the context is full
  kAborted,  ///< cancelled
  kTimeout,
  kError,
};
inline constexpr std::array kFinishReasonNames = {
    std::string_view("stop"), std::string_view("length"), std::string_view("abort"),
    std::string_view("timeout"), std::string_view("error")};
inline std::string_view Name(FinishReason reason) {
  return kFinishReasonNames[static_cast<size_t>(reason)];
}

/// A token of the answer, or of the prompt. Log-probabilities are those of the model's own logits,
/// before temperature, penalties and masks.
struct TokenOutput {
  int32_t id = 0;
  float logprob = 0.0f;                  ///< if asked for; 0 for the first token of a prompt
  std::vector<kernels::TokenValue> top;  ///< the likeliest, in order of falling probability
};

struct Output {
  RequestId id = 0;
  std::vector<TokenOutput> prompt;       ///< as asked for; once, before the first token
  std::vector<TokenOutput> tokens;       ///< new ones, without an end-of-text or stop token
  std::optional<TokenOutput> end_token;  ///< that end-of-text or stop token, if one came
  std::string text;  ///< what can be shown of them: valid UTF-8, never a part of a stop string
  std::optional<FinishReason> finish;
  std::string error;         ///< a sentence, for kError
  bool bad_request = false;  ///< the error is of what was asked for, not of the engine
  // Counts so far.
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  ///< of the prompt, found in the prefix cache
  int64_t output_tokens = 0;  ///< of the answer
};

}  // namespace atom::engine
