// RMSNorm and LayerNorm of one row, in the order of docs/numerics.md, section 4.
#pragma once

#include <span>

#include "atom/kernels/op_parameters.h"

namespace atom::kernels::reference {

/// out = x · 1/sqrt(mean(x²) + eps) · weight; x and out may be the same.
void RmsNorm(std::span<const float> x, std::span<const float> weight, float eps,
             std::span<float> out);

/// The norm that `norm` describes.
void Normalize(std::span<const float> x, const DeviceNorm& norm, std::span<float> out);

}  // namespace atom::kernels::reference
