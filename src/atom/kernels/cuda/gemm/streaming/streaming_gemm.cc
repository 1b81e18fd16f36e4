#include "atom/kernels/cuda/gemm/streaming/streaming_gemm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "atom/core/check.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {
namespace {

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t Blocks(const GemmDesc& desc) {
  return desc.recipe == GemmRecipe::kDense ? DivideUp(desc.k8, kDenseColumns)
                                           : DivideUp(desc.k4, kBlockColumns);
}
int64_t Steps8(const GemmDesc& desc) {
  return desc.recipe == GemmRecipe::kDense ? 0 : DivideUp(desc.k8, kStepColumns);
}
int64_t RowBlocks(const GemmDesc& desc) {
  int64_t blocks = 0;
  for (int64_t n : desc.n) blocks += DivideUp(n, kBlockRows);
  return blocks;
}

// Clocks of the whole launch: the weights from device memory once, and every multiprocessor's share
// of the tiles, bound by its intake, its tensor cores or the consumers' own pace. Constants
// measured in docs/performance-gpu.md.
double EstimateClocks(const GemmDesc& desc, const GemmDevice& device, const StreamShape& shape,
                      const StreamGrid& grid) {
  constexpr double kMemory = 2450;  // bytes a clock, all multiprocessors
  constexpr double kSupply = 34;    // bytes a clock and multiprocessor
  constexpr double kStart = 3000;   // launch, first loads, last stores
  const double block_columns = desc.recipe == GemmRecipe::kDense ? kDenseColumns : kBlockColumns;
  const double blocks = static_cast<double>(Blocks(desc)) +
                        static_cast<double>(Steps8(desc)) * kStep8Bytes / shape.block_bytes();
  const double weights = static_cast<double>(RowBlocks(desc)) * blocks * shape.block_bytes();
  const double ctas =
      static_cast<double>(grid.row_tiles) * grid.token_tiles * static_cast<double>(shape.cluster);
  const double tokens = static_cast<double>(
      std::min<int64_t>(DivideUp(desc.m, kAtomTokens) * kAtomTokens, shape.tile_tokens()));
  const double x_block = tokens * shape.x_atoms() * 128;
  const double block = shape.row_blocks * shape.block_bytes() + x_block;
  const double rate = shape.x_is_16_bit() ? 4096.0 : 8192.0;
  const double multiply = std::max(16.0, static_cast<double>(shape.tile_tokens())) * shape.rows() *
                          2 * block_columns / rate;
  // A warpgroup's own time for a block: wait, unpack, multiply, promote.
  const double own = (shape.x_is_16_bit() && desc.recipe != GemmRecipe::kDense ? 420.0 : 220.0) +
                     (shape.group_sums() ? 2.0 * shape.tokens : 0.0);
  const double pace = own / shape.ways;
  const double waves =
      ctas <= device.multiprocessors
          ? 1.0
          : std::max(1.0, ctas / (device.multiprocessors * static_cast<double>(shape.ctas_per_sm)));
  const double at_once = ctas <= device.multiprocessors ? 1.0 : shape.ctas_per_sm;
  const double per_block = std::max({block / kSupply * at_once, multiply * at_once, pace});
  const double stream = std::ceil(waves) * blocks / shape.cluster * per_block;
  const double reduce = shape.partial_bytes() / 128.0 + (shape.cluster > 1 ? 1200.0 : 0.0);
  return kStart + reduce + std::max(weights * grid.token_tiles / kMemory, stream);
}

template <size_t... kIndex>
constexpr auto LaunchTable(std::index_sequence<kIndex...>) {
  return std::array{LaunchStream<static_cast<StreamKernel>(kIndex)>...};
}
constexpr auto kLaunch = LaunchTable(std::make_index_sequence<kStreamKernels.size()>());

}  // namespace

std::string WhyNotStreamed(const GemmDesc& desc) {
  if (desc.m <= 0 || desc.total_n() <= 0 || desc.k() <= 0) {
    return fmt::format("a product of {} × {} × {} is empty", desc.m, desc.total_n(), desc.k());
  }
  if (desc.k() > 65536) return fmt::format("{} columns: INT32 sums hold 65,536", desc.k());
  if ((desc.recipe == GemmRecipe::kInt8 || desc.recipe == GemmRecipe::kDense) && desc.k4 != 0) {
    return fmt::format("recipe {} with {} 4-bit columns", Name(desc.recipe), desc.k4);
  }
  if ((desc.recipe == GemmRecipe::kGroup || desc.recipe == GemmRecipe::kW4A16) &&
      (desc.group != kBlockColumns || desc.k4 == 0)) {
    return fmt::format("groups of {} with fp16 scales: 128 is needed", desc.group);
  }
  if (desc.recipe == GemmRecipe::kInteger && desc.k4 == 0) return "no 4-bit columns";
  return "";
}

std::optional<StreamPlan> PlanStream(const GemmDesc& desc, const GemmDevice& device,
                                     StreamKernel kernel) {
  const StreamShape& shape = Info(kernel).shape;
  if (shape.recipe != desc.recipe || !WhyNotStreamed(desc).empty()) return std::nullopt;
  StreamPlan plan;
  plan.kernel = kernel;
  plan.grid.row_tiles = static_cast<int>(DivideUp(RowBlocks(desc), shape.row_blocks));
  plan.grid.token_tiles = static_cast<int>(DivideUp(desc.m, shape.tile_tokens()));
  const int64_t slots =
      DivideUp(Blocks(desc), shape.units) + DivideUp(Steps8(desc), shape.steps8());
  // 1,024 bytes of each CTA's share belong to the system.
  const int64_t budget = (device.shared_bytes + 1024) / shape.ctas_per_sm - 1024;
  plan.layout = LayOutStream(shape, desc.m, budget, DivideUp(slots, shape.cluster));
  if (plan.layout.slots == 0) return std::nullopt;
  plan.estimated_clocks = EstimateClocks(desc, device, shape, plan.grid);
  return plan;
}

StreamPlan PlanStream(const GemmDesc& desc, const GemmDevice& device) {
  std::optional<StreamPlan> best;
  for (const StreamKernelInfo& info : kStreamKernels) {
    std::optional<StreamPlan> plan = PlanStream(desc, device, info.kernel);
    if (plan && (!best || plan->estimated_clocks < best->estimated_clocks)) best = plan;
  }
  ATOM_CHECK(best.has_value(), "{}", WhyNotStreamed(desc));
  return *best;
}

std::string ToString(const StreamPlan& plan) {
  const StreamKernelInfo& info = Info(plan.kernel);
  return fmt::format(
      "{}: {} × {} tiles, {} ways of K, clusters of {}; grid {} × {} threads, {} slots of {} bytes",
      info.name, info.shape.rows(), info.shape.tile_tokens(), info.shape.ways, info.shape.cluster,
      plan.grid.row_tiles * plan.grid.token_tiles * info.shape.cluster, info.shape.threads(),
      plan.layout.slots, plan.layout.slot_bytes);
}

Status LaunchStreamGemm(const GemmDesc& desc, const StreamPlan& plan, const GemmOperands& operands,
                        const GemmLaunch& launch) {
  StreamingArgs args;
  args.operands = operands;
  args.weight_count = desc.segments();
  int32_t row_block = 0;
  int64_t column = 0;
  for (size_t w = 0; w < static_cast<size_t>(args.weight_count); ++w) {
    args.weights[w] = {row_block, static_cast<int32_t>(desc.n[w]), static_cast<int32_t>(column)};
    row_block += static_cast<int32_t>(DivideUp(desc.n[w], kBlockRows));
    column += desc.n[w];
  }
  args.row_blocks = row_block;
  args.blocks4 = static_cast<int32_t>(Blocks(desc));
  args.steps8 = static_cast<int32_t>(Steps8(desc));
  args.m = static_cast<int32_t>(desc.m);
  args.output = desc.output;
  args.add = desc.add;
  const StreamLaunch to{launch.stream, launch.overlap_previous};
  return Check(kLaunch[static_cast<size_t>(plan.kernel)](args, plan.layout, plan.grid, to),
               fmt::format("launch GEMM {}", Info(plan.kernel).name));
}

}  // namespace atom::kernels::cuda
