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

/// A row of logits that Backend::Sample chooses a token from.
struct SampleRow {
  int64_t row = 0;
  SamplingParams params;
  double uniform = 0.0;  ///< in [0, 1)
  int32_t slot = -1;     ///< the token slot that keeps the token on the device; -1: none
};

/// What SampleToken works in, one place for each logit.
struct SamplingScratch {
  std::span<int32_t> ids;
  std::span<float> edited;
};

/// The specification of Backend::Sample, on the host: `uniform` in [0, 1) picks along the kept
/// tokens in order of falling probability (ties: rising id). A NaN is never likelier than anything.
int32_t SampleToken(std::span<const float> logits, const SamplingParams& params, double uniform,
                    const SamplingScratch& scratch);
/// The same, with scratch of its own.
int32_t SampleToken(std::span<const float> logits, const SamplingParams& params, double uniform);

}  // namespace atom::kernels
