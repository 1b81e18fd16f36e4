// What config.json says of a mixture of experts, in the spellings that families have for it.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// num_experts or num_local_experts, which may not contradict each other, and num_experts_per_tok;
/// what is absent is that of `absent`, whose other fields are kept.
Result<MoeSpec> ReadMoe(const io::Json& config, const std::string& source, const MoeSpec& absent);

}  // namespace atom::model
