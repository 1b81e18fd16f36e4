// The shape table: what tensors a Llama-shaped checkpoint must hold, and their shapes.
#pragma once

#include <string_view>

#include "atom/artifact/layer.h"
#include "atom/model/model_config.h"

namespace atom::model {

inline constexpr std::string_view kEmbeddingName = "model.embed_tokens.weight";  // [vocab][hidden]
inline constexpr std::string_view kFinalNormName = "model.norm.weight";          // [hidden]
inline constexpr std::string_view kHeadName = "lm_head.weight";  // [vocab][hidden], untied only

artifact::LayerShape ShapeOfLayer(const ModelConfig& config);

/// Weights in the linears of all layers.
int64_t LinearWeightCount(const ModelConfig& config);

}  // namespace atom::model
