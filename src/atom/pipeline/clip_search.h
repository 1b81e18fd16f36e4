// Clip ratios found by a grid search on the output error of what they feed, for recipes that say
// "search". Each function leaves fixed ratios alone.
#pragma once

#include <cstdint>
#include <span>

#include "atom/pipeline/quantize_layer.h"

namespace atom::pipeline {

/// 1, 0.95, … 0.5.
std::span<const float> ClipGrid();

/// Per activation site: the ratio with the least ‖(X − Q(X))·Wᵀ‖² over the linears behind it, on
/// the first tokens of the stream. `layer` is permuted and unquantized.
void SearchActivationClips(const LayerContext& context, const artifact::HostLayer& layer,
                           artifact::LayerClips& clips);

/// The ratio with the least squared error of the layer's output when only KV is quantized. Those of
/// single heads are kv_calibration.h's.
void SearchKvClip(const LayerContext& context, const artifact::HostLayer& layer,
                  artifact::LayerClips& clips);

/// The ratio with the least (W − Q(W))·H·(W − Q(W))ᵀ under rounding; for GPTQ, whose step is
/// amax·clip·2/(2^b − 1) instead of amax·clip/(2^(b−1) − 1), the ratio that gives the same step.
float SearchWeightClip(const LayerContext& context, std::span<const float> w, int64_t n, int64_t k,
                       std::span<const float> gram);

}  // namespace atom::pipeline
