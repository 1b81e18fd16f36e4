// Streaming GEMMs: which kernel computes a product at small M (and, for 16-bit activations, at any
// M), and its launch. Like gemm_plan.h a pure function to plain data; no GPU is needed to ask.
//
//   integer_8: 64 × 8 tiles, 3 ways of K, clusters of 1; grid 128 × 416 threads, 10 slots of 11,264
//   bytes
#pragma once

#include <optional>
#include <string>

#include "atom/core/result.h"
#include "atom/kernels/cuda/gemm/gemm.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_kernels.h"

namespace atom::kernels::cuda {

struct StreamPlan {
  StreamKernel kernel = StreamKernel::kInteger8;
  StreamLayout layout;
  StreamGrid grid;
  double estimated_clocks = 0;  ///< what the choice was made by
};

/// Empty, or a sentence that says why no streaming kernel computes this.
std::string WhyNotStreamed(const GemmDesc& desc);

/// The plan with the fewest estimated clocks. REQUIRES: WhyNotStreamed(desc) is empty.
StreamPlan PlanStream(const GemmDesc& desc, const GemmDevice& device);
/// The plan with a given kernel, for tests and benchmarks; nothing if it cannot compute `desc`.
std::optional<StreamPlan> PlanStream(const GemmDesc& desc, const GemmDevice& device,
                                     StreamKernel kernel);

/// Clocks that any kernel needs at least: the weights come from memory.
double MemoryClocks(const GemmDesc& desc);

std::string ToString(const StreamPlan& plan);

/// Enqueues one kernel. Operands: weights in PackedWeightLayout (dense: PackedDenseLayout), x in
/// PackedActivationLayout (16-bit: PackedDenseActivationLayout).
Status LaunchStreamGemm(const GemmDesc& desc, const StreamPlan& plan, const GemmOperands& operands,
                        const GemmLaunch& launch);

}  // namespace atom::kernels::cuda
