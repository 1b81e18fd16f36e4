// The rotary embedding (RoPE: Su et al., 2021, "RoFormer"): cos and sin of every position,
// tabulated once on the host.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// inv_freq[d / 2] in fp32, d = rotary_dim: theta^(-2i/d), scaled as the spec says for a context of
/// `positions`: some scalings have other frequencies for long ones.
std::vector<float> RopeInverseFrequencies(const RopeSpec& rope, int64_t positions);

/// [positions][2][rotary_dim / 2] fp32: cos, then sin, of position * inv_freq, times the scaling's
/// attention factor.
std::vector<float> RopeTableValues(const RopeSpec& rope, int64_t positions);

}  // namespace atom::model
