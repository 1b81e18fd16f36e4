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

constexpr double kMemory = 1900;        // bytes a clock, all multiprocessors
constexpr double kExpertStart = 15000;  // clocks of each CTA of a grouped product
constexpr double kStart = 5000;         // clocks of the launch, the first loads and the last stores

// Kernels that promote behind their products have their pace for so many tokens: with more the
// card's power counts, which the tiled kernels' estimates know. One row block a CTA fills the card
// where those have too few tiles.
constexpr int64_t PromoteBehindTokens(const StreamShape& shape) {
  return shape.row_blocks == 1 ? 128 : 64;
}

// Clocks of the whole launch: the weights from device memory once, or the slowest multiprocessor's
// CTAs one after the other, each at its own pace. Constants measured in docs/performance-gpu.md.
double EstimateClocks(const GemmDesc& desc, const GemmDevice& device, const StreamKernelInfo& info,
                      const StreamGrid& grid) {
  const StreamShape& shape = info.shape;
  const double blocks = static_cast<double>(Blocks(desc)) +
                        static_cast<double>(Steps8(desc) * kStep8Bytes) / shape.block_bytes();
  const double weights = static_cast<double>(RowBlocks(desc)) * blocks * shape.block_bytes();
  const auto token_tiles = static_cast<double>(desc.expected_token_tiles(shape.tile_tokens()));
  const double ctas = static_cast<double>(grid.row_tiles) * token_tiles * shape.cluster;
  const double waves = std::ceil(ctas / (device.multiprocessors * shape.ctas_per_sm));
  // Where one CTA has a multiprocessor for itself, the last wave leaves memory idle.
  const double idle =
      shape.ctas_per_sm == 1 && waves > 1 ? waves * device.multiprocessors / ctas : 1.0;
  const double memory = weights * token_tiles / kMemory * idle;
  // Finding an expert, and a start that no other CTA hides.
  const double begin = shape.experts && shape.ctas_per_sm == 1 ? kExpertStart : 0;
  const double pace = waves * (begin + blocks / shape.cluster * info.block_clocks);
  // Distributed shared memory is slow to read.
  const double reduce =
      shape.cluster > 1 ? 4000.0 + shape.partial_bytes() / 16.0 : shape.partial_bytes() / 128.0;
  // Among equals the narrower tile.
  return kStart + reduce + std::max(memory, pace) + 4.0 * shape.tile_tokens();
}

template <size_t... kIndex>
constexpr auto LaunchTable(std::index_sequence<kIndex...>) {
  return std::array{LaunchStream<static_cast<StreamKernel>(kIndex)>...};
}
constexpr auto kLaunch = LaunchTable(std::make_index_sequence<kStreamKernels.size()>());

}  // namespace

double MemoryClocks(const GemmDesc& desc) {
  const double bytes = desc.recipe == GemmRecipe::kDense
                           ? static_cast<double>(Blocks(desc) * kDenseBlockBytes)
                           : static_cast<double>(Blocks(desc) * (kBlockCodeBytes + kScaleBytes) +
                                                 Steps8(desc) * kStep8Bytes);
  const double weights =
      desc.experts == 0 ? 1.0 : static_cast<double>(std::min(desc.experts, (desc.m + 7) / 8));
  return kStart + weights * static_cast<double>(RowBlocks(desc)) * bytes / kMemory;
}

std::string WhyNotStreamed(const GemmDesc& desc) {
  if (desc.m <= 0 || desc.total_n() <= 0 || desc.k() <= 0) {
    return fmt::format("a product of {} × {} × {} is empty", desc.m, desc.total_n(), desc.k());
  }
  if (desc.experts > kMaxExperts) {
    return fmt::format("{} experts: at most {}", desc.experts, kMaxExperts);
  }
  if (desc.k() > 65536) return fmt::format("{} columns: INT32 sums hold 65,536", desc.k());
  if ((desc.recipe == GemmRecipe::kInt8 || desc.recipe == GemmRecipe::kDense) && desc.k4 != 0) {
    return fmt::format("recipe {} with {} 4-bit columns", Name(desc.recipe), desc.k4);
  }
  if (desc.recipe == GemmRecipe::kGroup && (desc.group != kBlockColumns || desc.k4 == 0)) {
    return fmt::format("groups of {} with fp16 scales: 128 is needed", desc.group);
  }
  if (desc.recipe == GemmRecipe::kW4A16 &&
      ((desc.group != kBlockColumns && desc.group != kBlockColumns / 2) || desc.k4 == 0)) {
    return fmt::format("groups of {} with 16-bit activations: 64 or 128 is needed", desc.group);
  }
  if (desc.recipe == GemmRecipe::kInteger && desc.k4 == 0) return "no 4-bit columns";
  return "";
}

std::optional<StreamPlan> PlanStream(const GemmDesc& desc, const GemmDevice& device,
                                     StreamKernel kernel) {
  const StreamShape& shape = Info(kernel).shape;
  if (shape.recipe != desc.recipe || !WhyNotStreamed(desc).empty()) return std::nullopt;
  if (shape.group_sums() && shape.group != desc.group) return std::nullopt;
  if (shape.experts != (desc.experts > 0)) return std::nullopt;
  StreamPlan plan;
  plan.kernel = kernel;
  plan.grid.row_tiles = static_cast<int>(DivideUp(RowBlocks(desc), shape.row_blocks));
  plan.grid.token_tiles = static_cast<int>(desc.token_tiles(shape.tile_tokens()));
  const int64_t slots =
      DivideUp(Blocks(desc), shape.units) + DivideUp(Steps8(desc), shape.steps8());
  // CTAs that leave a third of the multiprocessors free, where the next kernel's start, take all
  // the memory of theirs: bytes in flight decide.
  const int64_t ctas = int64_t{plan.grid.row_tiles} * plan.grid.token_tiles * shape.cluster;
  const int share = 3 * ctas <= 2 * device.multiprocessors ? 1 : shape.ctas_per_sm;
  // 1,024 bytes of each CTA's share belong to the system.
  const int64_t budget = (device.shared_bytes + 1024) / share - 1024;
  plan.layout = LayOutStream(shape, desc.m, budget, DivideUp(slots, shape.cluster));
  if (plan.layout.slots == 0) return std::nullopt;
  plan.estimated_clocks = EstimateClocks(desc, device, Info(kernel), plan.grid);
  return plan;
}

StreamPlan PlanStream(const GemmDesc& desc, const GemmDevice& device) {
  std::optional<StreamPlan> best;
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (info.shape.promotes_behind() && desc.m > PromoteBehindTokens(info.shape)) continue;
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
  args.x_blocks4 = desc.recipe == GemmRecipe::kW4A16
                       ? static_cast<int32_t>(DivideUp(desc.k4, kDenseColumns))
                       : args.blocks4;
  args.steps8 = static_cast<int32_t>(Steps8(desc));
  args.m = static_cast<int32_t>(desc.m);
  args.output = desc.output;
  args.add = desc.add;
  args.experts = static_cast<int32_t>(desc.experts);
  ATOM_CHECK(
      desc.experts == 0 || (operands.expert_rows != nullptr && operands.expert_weights != nullptr &&
                            operands.y_rows != nullptr),
      "what a grouped product reads of its experts is missing");
  const StreamLaunch to{launch.stream, launch.overlap_previous};
  return Check(kLaunch[static_cast<size_t>(plan.kernel)](args, plan.layout, plan.grid, to),
               fmt::format("launch GEMM {}", Info(plan.kernel).name));
}

}  // namespace atom::kernels::cuda
