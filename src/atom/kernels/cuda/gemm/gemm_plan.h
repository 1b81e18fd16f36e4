// Which kernel computes a GEMM, and how: a pure function from a description and two numbers of the
// card to plain data that can be printed. No GPU is needed to ask.
//
//   integer_256: 128 × 256 tiles, 4 stages, clusters of 2, 2 warpgroups; grid 132 × 384 threads,
//   1,024 tiles, 8 waves, 220,416 bytes of shared memory
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "atom/kernels/cuda/gemm/gemm_desc.h"

namespace atom::kernels::cuda {

/// Every compiled GEMM kernel; the table in gemm_plan.cc says what each is.
enum class GemmKernel {
  kInteger256,
  kInteger128,
  kInteger64,
  kGroup128,
  kGroup64,
  kWideGroup128,
  kInt8x256,
  kInt8x128,
  kDense256,
  kDense192,
  kDense128,
  kDense64,
  kExpertInteger128,
  kExpertGroup128,
  kExpertInt8x128,
};

/// A row of the table.
struct GemmKernelInfo {
  GemmKernel kernel;
  std::string_view name;
  GemmRecipe recipe;
  int tile_rows;    ///< outputs of a CTA's tile
  int tile_tokens;  ///< tokens of a CTA's tile
  int warpgroups;   ///< that multiply; one more loads
  int cluster;      ///< CTAs, side by side along the outputs, that share their activations' loads
  int max_stages;
  int block_clocks;          ///< measured: what a K block (64 columns if dense) takes a CTA
                             ///< (docs/performance-gpu.md)
  double power;              ///< how much slower the card's power makes it when every SM is busy
  bool wide_groups = false;  ///< fp16 scales of groups of more than a K block, too
  bool experts = false;      ///< grouped products, and only these
};
std::span<const GemmKernelInfo> GemmKernels();
const GemmKernelInfo& Info(GemmKernel kernel);
std::string_view Name(GemmKernel kernel);

/// The two numbers of the card that a plan depends on.
struct GemmDevice {
  int multiprocessors = 132;
  int64_t shared_bytes = 232448;  ///< a CTA's largest shared memory
};

struct GemmPlan {
  GemmKernel kernel = GemmKernel::kInteger256;
  int stages = 0;
  int grid = 0;     ///< CTAs; each takes tiles until none is left
  int threads = 0;  ///< of a CTA
  int64_t row_tiles = 0;
  int64_t token_tiles = 0;  ///< with experts: at most
  int64_t shared_bytes = 0;
  double estimated_clocks = 0;  ///< what the choice was made by
};

/// The plan with the fewest estimated clocks. REQUIRES: WhyNotComputed(desc) is empty.
GemmPlan PlanGemm(const GemmDesc& desc, const GemmDevice& device);
/// The plan with a given kernel, for tests and benchmarks; nothing if it cannot compute `desc`.
std::optional<GemmPlan> PlanGemm(const GemmDesc& desc, const GemmDevice& device, GemmKernel kernel);

std::string ToString(const GemmPlan& plan);

}  // namespace atom::kernels::cuda
