// How the next token is chosen from a row of logits.
#pragma once

#include <cstdint>
#include <span>

namespace atom::kernels {

/// Something about one token: a bias, a log-probability.
struct TokenValue {
  int32_t id = 0;
  float value = 0.0f;
};

/// What is done to the logit of one token before anything else: z becomes
/// (z > 0 ? z / penalty : z * penalty) + bias.
struct LogitEdit {
  int32_t id = 0;
  float penalty = 1.0f;  ///< > 0
  float bias = 0.0f;     ///< finite, or -infinity: never chosen
};

struct SamplingParams {
  float temperature = 0.0f;  ///< 0: the largest logit, ties to the smaller id
  int32_t top_k = 0;         ///< 0: no limit
  float top_p = 1.0f;        ///< smallest set of likeliest tokens with at least this probability,
                             ///< among those that top_k and min_p keep
  float min_p = 0.0f;        ///< tokens with at least this part of the likeliest one's probability
  // Owned by the caller.
  std::span<const LogitEdit> edits = {};  ///< ids are distinct
  /// Bit id % 64 of word id / 64: whether the token may be chosen; what lies behind the end may
  /// not. Empty: all may. A token that is allowed is chosen even where nothing allowed is likely.
  std::span<const uint64_t> allowed = {};
};

/// The specification of Backend::Sample, on the host: `uniform` in [0, 1) picks along the kept
/// tokens in order of falling probability (ties: rising id). A NaN is never likelier than anything.
int32_t SampleToken(std::span<const float> logits, const SamplingParams& params, double uniform);

}  // namespace atom::kernels
