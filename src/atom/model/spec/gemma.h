// Gemma 2 and Gemma 3 (text): RMSNorm with 1 + w before and behind attention and FFN, GELU by tanh
// with a gate, windows in most layers, embeddings scaled by sqrt(hidden). Gemma 2 caps scores and
// logits; Gemma 3 normalizes the heads of q and k and has a RoPE of its own in windowed layers.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

Result<ModelSpec> ReadGemma2(const io::Json& config, const std::string& source);
/// Refuses bidirectional attention.
Result<ModelSpec> ReadGemma3(const io::Json& config, const std::string& source);

}  // namespace atom::model
