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

struct SamplingParams {
  float temperature = 0.0f;  ///< 0: the largest logit, ties to the smaller id
  int32_t top_k = 0;         ///< 0: no limit
  float top_p = 1.0f;        ///< smallest set of likeliest tokens with at least this probability
  float min_p = 0.0f;        ///< tokens with at least this part of the likeliest one's probability
};

/// The specification of Backend::Sample, on the host: `uniform` in [0, 1) picks along the kept
/// tokens in order of falling probability (ties: rising id).
int32_t SampleToken(std::span<const float> logits, const SamplingParams& params, double uniform);

}  // namespace atom::kernels
