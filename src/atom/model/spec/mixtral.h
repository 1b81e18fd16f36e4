// Mixtral: Mistral with a mixture of experts in every layer, whose weights are renormalized.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

Result<ModelSpec> ReadMixtral(const io::Json& config, const std::string& source);

}  // namespace atom::model
