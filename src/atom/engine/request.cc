#include "atom/engine/request.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace atom::engine {
namespace {

template <class T>
Status CheckRange(std::string_view name, T value, T low, T high) {
  if (value >= low && value <= high) return {};  // false for a NaN
  return MakeError("{}: expected {} to {}, found {}", name, low, high, value);
}

Status CheckToken(std::string_view name, int32_t token, const RequestLimits& limits) {
  if (token >= 0 && token < limits.vocabulary) return {};
  return MakeError("{}: expected tokens of a vocabulary of {}, found {}", name, limits.vocabulary,
                   token);
}

Status CheckPrompt(const std::vector<int32_t>& prompt, const RequestLimits& limits) {
  if (prompt.empty()) return MakeError("the prompt is empty: expected at least one token");
  if (static_cast<int64_t>(prompt.size()) > limits.context) {
    return MakeError("the prompt has {} tokens, the context holds {}", prompt.size(),
                     limits.context);
  }
  for (const int32_t token : prompt) {
    if (Status s = CheckToken("the prompt", token, limits); !s.ok()) return s;
  }
  return {};
}

Status CheckLogitBias(const std::vector<kernels::TokenValue>& bias, const RequestLimits& limits) {
  std::unordered_set<int32_t> ids;
  for (const kernels::TokenValue& token : bias) {
    if (Status s = CheckToken("logit_bias", token.id, limits); !s.ok()) return s;
    if (!std::isfinite(token.value)) {
      return MakeError("logit_bias of token {}: expected a finite number, found {}", token.id,
                       token.value);
    }
    if (!ids.insert(token.id).second) {
      return MakeError("logit_bias: expected each token once, found {} twice", token.id);
    }
  }
  return {};
}

Status CheckSampling(const Sampling& sampling, const RequestLimits& limits) {
  for (const Status& status : {
           CheckRange("temperature", sampling.temperature, 0.0f, 100.0f),
           CheckRange("top_k", sampling.top_k, 0, std::numeric_limits<int32_t>::max()),
           CheckRange("top_p", sampling.top_p, 0.0f, 1.0f),
           CheckRange("min_p", sampling.min_p, 0.0f, 1.0f),
           CheckRange("repetition_penalty", sampling.repetition_penalty, 0.01f, 100.0f),
           CheckRange("presence_penalty", sampling.presence_penalty, -2.0f, 2.0f),
           CheckRange("frequency_penalty", sampling.frequency_penalty, -2.0f, 2.0f),
           CheckLogitBias(sampling.logit_bias, limits),
       }) {
    if (!status.ok()) return status;
  }
  return {};
}

Status CheckStop(const StopConditions& stop, const RequestLimits& limits) {
  if (stop.max_tokens < 0) {
    return MakeError("max_tokens: expected at least 0, found {}", stop.max_tokens);
  }
  if (Status s = CheckRange("min_tokens", stop.min_tokens, int64_t{0}, stop.max_tokens); !s.ok()) {
    return s;
  }
  for (const int32_t token : stop.token_ids) {
    if (Status s = CheckToken("stop tokens", token, limits); !s.ok()) return s;
  }
  for (const std::string& string : stop.strings) {
    if (string.empty()) return MakeError("stop: expected strings that are not empty");
  }
  return {};
}

}  // namespace

Status CheckRequest(const Request& request, const RequestLimits& limits) {
  for (const Status& status : {
           CheckPrompt(request.prompt, limits),
           CheckSampling(request.sampling, limits),
           CheckStop(request.stop, limits),
           CheckRange("logprobs", request.logprobs, -1, kMaxLogprobs),
           CheckRange("prompt_logprobs", request.prompt_logprobs, -1, kMaxLogprobs),
           CheckRange("prompt_logprobs_from", request.prompt_logprobs_from, int64_t{0},
                      std::max(static_cast<int64_t>(request.prompt.size()) - 1, int64_t{0})),
           CheckRange("timeout", request.timeout_seconds, 0.0, 1e9),
           CheckRange("queue timeout", request.queue_timeout_seconds, 0.0, 1e9),
       }) {
    if (!status.ok()) return status;
  }
  return {};
}

}  // namespace atom::engine
