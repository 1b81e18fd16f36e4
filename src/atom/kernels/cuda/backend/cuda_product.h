// What a product of the backend is to its kernels: shape and kind from activation and weights.
#pragma once

#include <string>

#include "atom/kernels/cuda/backend/cuda_activation.h"
#include "atom/kernels/cuda/backend/cuda_weight.h"
#include "atom/kernels/cuda/gemm/gemm_choice.h"
#include "atom/kernels/cuda/rows/token_scales.h"

namespace atom::kernels::cuda {

/// A GEMM may fetch weights while the op before it ends.
inline constexpr bool kOverlap = true;

/// y[rows] = x · Wᵀ of weights side by side, in fp32.
GemmDesc DescOf(const CudaActivation& x, std::span<const PackedWeight* const> weights,
                int64_t rows);
/// Weights of two experts have one shape.
void CheckAlike(const PackedWeight& a, const PackedWeight& b);
/// What kernels read of a weight.
GemmWeight GemmWeightOf(const PackedWeight& weight);
/// Empty, or a sentence that says why no kernel computes this.
std::string WhyNotMultiplied(const GemmDesc& desc, const CudaActivation& x,
                             const PackedWeight& first);
/// What is to be done to x before the product; often nothing.
SpreadTokenScalesCall SpreadOf(const CudaActivation& x, const GemmDesc& desc);

}  // namespace atom::kernels::cuda
