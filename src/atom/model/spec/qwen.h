// Qwen2, 2.5 and 3: Llama with biases of q, k and v only (2), or with norms of the heads of q and k
// (3), and perhaps windows in some layers.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

Result<ModelSpec> ReadQwen2(const io::Json& config, const std::string& source);
Result<ModelSpec> ReadQwen3(const io::Json& config, const std::string& source);
/// Qwen3 with mixtures of experts in some layers, or all.
Result<ModelSpec> ReadQwen3Moe(const io::Json& config, const std::string& source);

}  // namespace atom::model
