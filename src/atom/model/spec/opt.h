// OPT: LayerNorm with biases, learned positions from row 2 on, no gate, biases everywhere. The
// norms of OPT-350m stand behind the sums, and its tables are narrower than the model.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// Refuses norms without weights.
Result<ModelSpec> ReadOpt(const io::Json& config, const std::string& source);

}  // namespace atom::model
