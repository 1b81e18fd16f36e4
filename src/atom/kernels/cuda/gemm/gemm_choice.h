// Which family of kernels computes a product, and how: the tiled ones (gemm_plan.h), which reuse
// weights for many tokens, or the streaming ones (streaming/streaming_gemm.h), which read them
// once. Both give the same bits, so the choice may depend on M.
#pragma once

#include <string>
#include <variant>

#include "atom/kernels/cuda/gemm/gemm.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_gemm.h"

namespace atom::kernels::cuda {

using GemmChoice = std::variant<GemmPlan, StreamPlan>;

/// Empty, or a sentence that says why no kernel of either family computes this.
std::string WhyNotChosen(const GemmDesc& desc);

/// The plan with the fewest estimated clocks. REQUIRES: WhyNotChosen(desc) is empty.
GemmChoice ChooseGemm(const GemmDesc& desc, const GemmDevice& device);

std::string ToString(const GemmChoice& choice);

/// Enqueues one kernel.
Status LaunchGemm(const GemmDesc& desc, const GemmChoice& choice, const GemmOperands& operands,
                  const GemmLaunch& launch);

}  // namespace atom::kernels::cuda
