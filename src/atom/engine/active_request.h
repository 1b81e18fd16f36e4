// A request between Add and its FinishReason: all that is kept of it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "atom/engine/answer.h"
#include "atom/engine/penalties.h"
#include "atom/engine/request.h"
#include "atom/engine/sequence.h"
#include "atom/engine/speculation.h"
#include "atom/engine/token_uniforms.h"

namespace atom::engine {

struct ActiveRequest {
  Request request;  ///< without its prompt, which is in the sequence
  int64_t prompt_tokens = 0;
  Sequence sequence;
  Penalties penalties;
  TokenUniforms uniforms;
  Answer answer;
  Speculated speculated = {};
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  std::optional<std::chrono::steady_clock::time_point> queue_deadline = {};  ///< while it waits

  bool prompt_submitted = false;         ///< all of it
  bool answering = false;                ///< the prompt is computed and told of
  int64_t cached_tokens = 0;             ///< of the prompt
  std::vector<TokenOutput> prompt = {};  ///< what is asked of it, as far as it is computed
  std::string prompt_error = {};         ///< why that cannot be told, if it cannot

  TokenOutput& prompt_token(int64_t position) {
    return prompt.at(static_cast<size_t>(position - request.prompt_logprobs_from));
  }
};

}  // namespace atom::engine
