// The rotary embedding's cos and sin of every position, tabulated once on the host.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/model/model_config.h"

namespace atom::model {

/// inv_freq[head_dim / 2] in fp32: theta^(-2i/d), scaled as the config says (none, linear, llama3).
std::vector<float> RopeInverseFrequencies(const ModelConfig& config);

/// [positions][2][head_dim / 2] fp32: cos, then sin, of position * inv_freq.
std::vector<float> RopeTableValues(const ModelConfig& config, int64_t positions);

}  // namespace atom::model
