// RoPE in config.json, in the spelling of old and of new checkpoints.
#pragma once

#include <cstdint>
#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// What families differ in.
struct RopeRules {
  bool partial = false;           ///< partial_rotary_factor may be below 1
  bool yarn_is_longrope = false;  ///< early Phi-3 files say "yarn" of what is "longrope" today
};

/// Old: rope_theta and rope_scaling beside each other. New: all in rope_parameters. Both may be
/// there, if they agree. Types that are not computed are refused by name. Context lengths that the
/// scaling needs come from `config`, where it does not name them itself.
Result<RopeSpec> ReadRope(const io::Json& config, const std::string& source, int64_t head_dim,
                          const RopeRules& rules = {});

/// The positions of a model whose config.json gives `max_positions`: "yarn" and "dynamic" reach
/// `factor` times as far as what the model was trained with.
int64_t ContextOf(const RopeSpec& rope, int64_t max_positions);

}  // namespace atom::model
