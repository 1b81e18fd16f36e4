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
#include <vector>

#include "atom/kernels/cuda/gemm/gemm_desc.h"
#include "atom/kernels/cuda/gemm/tiled/tile_schedule.h"

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
  kExpertWideGroup128,
};

/// A row of the table.
struct GemmKernelInfo {
  GemmKernel kernel;
  std::string_view name;
  GemmRecipe recipe;
  int tile_rows;    ///< outputs of a CTA's tile
  int tile_tokens;  ///< tokens of a CTA's tile
  int warpgroups;   ///< that multiply; one more loads
  int cluster;      ///< CTAs side by side that share the loads of what they have in common
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
  /// A cluster's tiles lie side by side along the tokens and share the loads of weights; otherwise
  /// along the outputs, sharing those of activations.
  bool token_clusters = false;
  int64_t row_tiles = 0;    ///< whole clusters
  int64_t token_tiles = 0;  ///< whole clusters; with experts: at most
  TileSchedule schedule;    ///< who computes what; units of experts only the device knows
  int64_t shared_bytes = 0;
  double estimated_clocks = 0;  ///< what the choice was made by
};

/// The plan with the fewest estimated clocks. REQUIRES: WhyNotComputed(desc) is empty.
GemmPlan PlanGemm(const GemmDesc& desc, const GemmDevice& device);
/// The best plan with a given kernel; nothing if it cannot compute `desc`.
std::optional<GemmPlan> PlanGemm(const GemmDesc& desc, const GemmDevice& device, GemmKernel kernel);
/// All plans of all kernels, for tests and benchmarks.
std::vector<GemmPlan> GemmPlans(const GemmDesc& desc, const GemmDevice& device);

std::string ToString(const GemmPlan& plan);

}  // namespace atom::kernels::cuda
