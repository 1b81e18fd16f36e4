// What GPTQ does with one weight, on the GPU: the column loop with its products, the error that is
// left, and the factor before both. Matrices come from the host and go back there.
#pragma once

#include <span>
#include <vector>

#include "atom/core/result.h"
#include "atom/kernels/cuda/device/staging.h"
#include "atom/quant/gptq.h"
#include "atom/quant/quantize_weight.h"

namespace atom::kernels::cuda {

/// False where there is no kernel: other number formats, groups of all columns, wide groups.
bool RoundByGptq(const quant::GptqProblem& problem, const StagedStream& stream);

quant::OutputError MeasureError(std::span<const float> w, std::span<const float> q, int64_t n,
                                int64_t k, std::span<const float> hessian,
                                const StagedStream& stream);

/// quant/inverse_cholesky.h with products on the GPU; blocks on the diagonal on the host, in
/// double.
Result<std::vector<float>> InverseCholesky(std::vector<float> h, int64_t k,
                                           const StagedStream& stream);

}  // namespace atom::kernels::cuda
