// Phi-3, 3.5 and Phi-4-mini: Llama whose checkpoints fuse q, k and v, and gate and up; RoPE over
// some channels of a head, LongRoPE, a window.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

Result<ModelSpec> ReadPhi3(const io::Json& config, const std::string& source);
/// The fused tensors of such a model, as its checkpoints name them.
TensorNames Phi3Names(const LayerSpec& layer);

}  // namespace atom::model
