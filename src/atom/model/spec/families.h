// config.json → ModelSpec, for every family that is known. One table lists them; one file a family
// reads it. Unknown architectures, activations, RoPE types and quantization methods are refused by
// name, with the list of what is known. Every field is bounded so that products of two or three of
// them fit int64; each complaint is one sentence with source, field, expected and found.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// Understands the spellings of old and new Hugging Face configs. `source` is what errors call it,
/// as a rule the path of config.json.
Result<ModelSpec> ReadModelSpec(const io::Json& config, const std::string& source);

}  // namespace atom::model
