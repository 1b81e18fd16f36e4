// How likely the model found a token, and which tokens it found likeliest: what an answer reports
// beside its tokens. From the model's own logits, before anything that sampling does to them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/kernels/sampling.h"

namespace atom::kernels {

/// About one row of logits.
struct LogProbQuery {
  int64_t row = 0;
  int32_t target = 0;
  int32_t top = 0;  ///< how many of the likeliest tokens are wanted
};

struct LogProbs {
  float target = 0.0f;          ///< log softmax, natural
  std::vector<TokenValue> top;  ///< in order of falling probability, ties: rising id
};

/// The specification of Backend::TokenLogProbs, on the host. Sums are double; a NaN counts as
/// -infinity, and where no logit is finite the largest ones share all probability.
LogProbs LogProbsOf(std::span<const float> logits, const LogProbQuery& query);

}  // namespace atom::kernels
