// What the linears of a site can make good of what the layers before them lost: with x_fp the
// inputs in the unquantized model and x_q those that the linear will read, the weight closest to
// W·x_fp on them is
//
//   W + W · C · (H + λI)⁻¹,   C = Σ w (x_fp − x_q)·x_qᵀ,   H = Σ w x_q·x_qᵀ
//
// of which a share is taken: the whole step fits the calibration text too closely. The idea of
// GPTAQ (Li, Yin, Lee, Xiao, Panda: "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric
// Calibration", 2025), in closed form before the column loop.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/quant/damped_factor.h"
#include "atom/quant/dense_algebra.h"

namespace atom::quant {

/// −w·cross, w[n][k], cross[k][k]: all that the correction needs of cross, which can then be freed.
std::vector<float> NegatedProduct(std::span<const float> w, int64_t n, int64_t k,
                                  std::span<const float> cross, DenseAlgebra& algebra);

/// w += share · (w·cross)·(H + λI)⁻¹, given NegatedProduct's result and the factor of the damped H.
void CorrectWeight(std::span<float> w, int64_t n, int64_t k, std::span<const float> negated_product,
                   const DampedFactor& factor, float share, DenseAlgebra& algebra);

}  // namespace atom::quant
