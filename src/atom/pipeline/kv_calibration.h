// What a KV cache needs to know of the model before it is quantized: the constant mean of each
// head's keys, and the clip ratios of single heads (docs/recipes.md, kv.remove_mean and kv.clip
// "search-head").
#pragma once

#include <cstdint>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/pipeline/quantize_layer.h"

namespace atom::pipeline {

/// Windows of the stream that keys and values are looked at in.
inline constexpr int64_t kKvSamples = 8;
/// The first tokens of a window, whose keys (attention sinks) do not enter the mean.
inline constexpr int64_t kKvSkippedTokens = 8;

bool NeedsKvCalibration(const quant::Recipe& recipe);

struct KvCalibration {
  std::vector<float> key_mean;    ///< [kv_heads][head_dim], or empty
  std::vector<float> head_clips;  ///< [2][kv_heads], K's, then V's, or empty
};

/// Runs the layer, unquantized and permuted, over the first windows of the stream. `source` is the
/// same layer in its own order of channels.
///
/// A head's ratio is that of ClipGrid with the least error of what reads it, on rows spread over
/// the first windows: of K, sum of (q * (k - Q(k)))^2 over that head's queries; of V, the squared
/// length of what o makes of v - Q(v), over the query heads that share it.
KvCalibration CalibrateKv(const LayerContext& context, const artifact::HostLayer& source,
                          const artifact::HostLayer& layer);

}  // namespace atom::pipeline
