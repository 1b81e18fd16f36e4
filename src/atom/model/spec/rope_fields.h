// RoPE in config.json, in the spelling of old and of new checkpoints.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// Old: rope_theta and rope_scaling beside each other. New: all in rope_parameters. Both may be
/// there, if they agree. Types that are not computed are refused by name. Whole heads are rotated.
Result<RopeSpec> ReadRope(const io::Json& config, const std::string& source, int64_t head_dim);

}  // namespace atom::model
