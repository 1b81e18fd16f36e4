// How likely the model found a token, and which tokens it found likeliest: what an answer reports
// beside its tokens. From the model's own logits, before anything that sampling does to them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/kernels/device_memory.h"
#include "atom/kernels/sampling.h"

namespace atom::kernels {

/// Most likeliest tokens that a query may ask for.
inline constexpr int32_t kMostTopTokens = 32;
/// As a target: the token that Sample chose for the row.
inline constexpr int32_t kChosenToken = -1;

/// About one row of logits.
struct LogProbQuery {
  int64_t row = 0;
  int32_t target = 0;  ///< a token, or kChosenToken
  int32_t top = 0;     ///< how many of the likeliest tokens are wanted, at most kMostTopTokens
};

/// Where answers go, by query: its target's log-probability, and places for the likeliest tokens.
struct DeviceLogProbs {
  DeviceSpan<float> targets;
  DeviceSpan<TokenValue> top;  ///< [queries][kMostTopTokens]

  /// From query `first` on.
  DeviceLogProbs From(int64_t first) const {
    return {targets.From(first), top.From(first * kMostTopTokens)};
  }
};

struct LogProbs {
  float target = 0.0f;          ///< log softmax, natural
  std::vector<TokenValue> top;  ///< in order of falling probability, ties: rising id
};

/// The specification of Backend::TokenLogProbs, on the host. Sums are double; a NaN counts as
/// -infinity, and where no logit is finite the largest ones share all probability.
LogProbs LogProbsOf(std::span<const float> logits, const LogProbQuery& query);
/// The same, into `top`, which has room for what is asked; gives the target's. `ids` is scratch, a
/// place for each logit.
float WriteLogProbs(std::span<const float> logits, const LogProbQuery& query,
                    std::span<int32_t> ids, std::span<TokenValue> top);

}  // namespace atom::kernels
