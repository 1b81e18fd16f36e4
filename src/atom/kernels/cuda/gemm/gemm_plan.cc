#include "atom/kernels/cuda/gemm/gemm_plan.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "atom/core/check.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"
#include "atom/kernels/cuda/gemm/tiled/tile_layout.h"

namespace atom::kernels::cuda {
namespace {

constexpr std::array<std::string_view, 5> kRecipeNames = {"integer", "group", "int8", "w4a16",
                                                          "dense"};
constexpr std::array<std::string_view, 3> kOutputNames = {"fp16", "bf16", "fp32"};

constexpr GemmKernelInfo kKernels[] = {
    // kernel, name, recipe, rows, tokens, warpgroups, cluster, stages, clocks, power
    {GemmKernel::kInteger256, "integer_256", GemmRecipe::kInteger, 128, 256, 2, 2, 4, 1226, 1.25},
    {GemmKernel::kInteger128, "integer_128", GemmRecipe::kInteger, 128, 128, 2, 2, 6, 670, 1.37},
    {GemmKernel::kInteger64, "integer_64", GemmRecipe::kInteger, 128, 64, 2, 2, 8, 568, 1.1},
    {GemmKernel::kGroup128, "group_128", GemmRecipe::kGroup, 128, 128, 2, 2, 6, 1120, 1.05},
    {GemmKernel::kGroup64, "group_64", GemmRecipe::kGroup, 192, 64, 3, 2, 6, 1040, 1.05},
    {GemmKernel::kWideGroup128, "wide_group_128", GemmRecipe::kGroup, 128, 128, 2, 2, 6, 1360, 1.05,
     true},
    {GemmKernel::kInt8x256, "int8_256", GemmRecipe::kInt8, 128, 256, 2, 2, 4, 1120, 1.37},
    {GemmKernel::kInt8x128, "int8_128", GemmRecipe::kInt8, 128, 128, 2, 2, 5, 641, 1.41},
    {GemmKernel::kDense256, "dense_256", GemmRecipe::kDense, 128, 256, 2, 2, 4, 1150, 1.37},
    {GemmKernel::kDense192, "dense_192", GemmRecipe::kDense, 128, 192, 2, 2, 5, 870, 1.37},
    {GemmKernel::kDense128, "dense_128", GemmRecipe::kDense, 128, 128, 2, 2, 6, 620, 1.37},
    {GemmKernel::kDense64, "dense_64", GemmRecipe::kDense, 128, 64, 2, 2, 8, 500, 1.25},
    {GemmKernel::kExpertInteger128, "expert_integer_128", GemmRecipe::kInteger, 128, 128, 2, 2, 6,
     670, 1.37, false, true},
    {GemmKernel::kExpertGroup128, "expert_group_128", GemmRecipe::kGroup, 128, 128, 2, 2, 6, 1120,
     1.05, false, true},
    {GemmKernel::kExpertInt8x128, "expert_int8_128", GemmRecipe::kInt8, 128, 128, 2, 2, 5, 641,
     1.41, false, true},
    {GemmKernel::kExpertWideGroup128, "expert_wide_group_128", GemmRecipe::kGroup, 128, 128, 2, 2,
     6, 1360, 1.05, true, true},
};

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// K blocks of outlier columns that have a place of their own in shared memory.
int OutlierBlocks(const GemmDesc& desc) {
  const bool one_width = desc.recipe == GemmRecipe::kInt8 || desc.recipe == GemmRecipe::kDense;
  return one_width ? 0 : static_cast<int>(DivideUp(desc.k8, kBlockColumns));
}

// Kernels whose stages hold K blocks and nothing else (TileConfig::kPlain).
bool IsPlain(const GemmKernelInfo& info) {
  const bool one_width = info.recipe == GemmRecipe::kInt8 || info.recipe == GemmRecipe::kDense;
  return one_width && !info.experts;
}

int64_t SharedBytes(const GemmDesc& desc, const GemmKernelInfo& info, int stages) {
  const TileLayout layout =
      MakeTileLayout(desc.recipe, info.warpgroups, info.tile_tokens, stages, OutlierBlocks(desc));
  return layout.bytes + (desc.experts > 0 ? ExpertTableBytes(desc.experts) : 0);
}

// The most stages that fit; a tile's outlier blocks are held together.
int Stages(const GemmDesc& desc, const GemmDevice& device, const GemmKernelInfo& info) {
  for (int stages = info.max_stages; stages >= std::max(2, OutlierBlocks(desc)); --stages) {
    if (SharedBytes(desc, info, stages) <= device.shared_bytes) return stages;
  }
  return 0;
}

// Clocks that a K block takes a CTA: what was measured, unless the CTAs together ask L2 for more
// than it gives. Of tiles that lie side by side in a cluster, it is asked once for what they share.
double BlockClocks(const GemmKernelInfo& info, const GemmPlan& plan) {
  constexpr double kL2Bytes = 4450;  // a clock, as measured with 128 and 132 CTAs
  if (!IsPlain(info)) return info.block_clocks;
  const double rows = TileBlockBytes(info.recipe) / 64.0 * info.tile_rows;
  const double tokens = static_cast<double>(kBlockColumns) * info.tile_tokens;
  const double asked = plan.token_clusters ? rows / info.cluster + tokens  // by a CTA
                                           : rows + tokens / info.cluster;
  return std::max<double>(info.block_clocks, asked * plan.grid / kL2Bytes);
}

double TileClocks(const GemmDesc& desc, const GemmKernelInfo& info, const GemmPlan& plan) {
  constexpr double kEpilogue = 0.137;  // a value of the tile
  return plan.schedule.blocks * BlockClocks(info, plan) + OutlierBlocks(desc) * info.block_clocks +
         kEpilogue * info.tile_rows * info.tile_tokens;
}

// Clocks at full speed of the CTA with the most to do.
double ScheduleClocks(const GemmDesc& desc, const GemmKernelInfo& info, const GemmPlan& plan) {
  constexpr double kHandover = 0.3;  // a value of the tile, to write and to read
  const double tile = TileClocks(desc, info, plan);
  const int64_t tiles = plan.row_tiles * desc.expected_token_tiles(info.tile_tokens);
  if (plan.schedule.divided > 0) {
    return tile * plan.schedule.units / plan.schedule.clusters +
           kHandover * info.tile_rows * info.tile_tokens;
  }
  if (IsPlain(info)) return tile * DivideUp(plan.schedule.units, plan.schedule.clusters);
  return tile * static_cast<double>(DivideUp(tiles, plan.grid));
}

// Clocks at full speed: those of the CTA with the most to do, or, where all are busy and the card
// slows down for its power, those of the mean CTA at that pace.
double EstimateClocks(const GemmDesc& desc, const GemmKernelInfo& info, const GemmDevice& device,
                      const GemmPlan& plan) {
  constexpr double kStart = 4000;  // launch, first loads, last stores
  const int64_t tiles = plan.row_tiles * desc.expected_token_tiles(info.tile_tokens);
  const double busy = static_cast<double>(tiles) / device.multiprocessors;
  return kStart + std::max(ScheduleClocks(desc, info, plan),
                           TileClocks(desc, info, plan) * busy * info.power);
}

// What a kernel does with a product if its clusters lie along the outputs or the tokens, and units
// are divided or not; nothing if it cannot.
std::optional<GemmPlan> MakePlan(const GemmDesc& desc, const GemmDevice& device,
                                 const GemmKernelInfo& info, bool token_clusters, bool divided) {
  if (info.recipe != desc.recipe || info.experts != (desc.experts > 0)) return std::nullopt;
  const bool wide = desc.recipe == GemmRecipe::kGroup && desc.group != kBlockColumns;
  if (wide && !info.wide_groups) return std::nullopt;
  if (!IsPlain(info) && (token_clusters || divided)) return std::nullopt;
  GemmPlan plan;
  plan.kernel = info.kernel;
  plan.token_clusters = token_clusters;
  plan.stages = Stages(desc, device, info);
  if (plan.stages == 0) return std::nullopt;
  for (int64_t n : desc.n) plan.row_tiles += DivideUp(n, info.tile_rows);
  plan.token_tiles = desc.token_tiles(info.tile_tokens);
  int64_t& side = token_clusters ? plan.token_tiles : plan.row_tiles;
  side = DivideUp(side, info.cluster) * info.cluster;
  const int64_t tiles = plan.row_tiles * plan.token_tiles;
  const int64_t resident = device.multiprocessors / info.cluster * info.cluster;
  plan.grid = static_cast<int>(std::min(tiles, resident));
  plan.threads = (info.warpgroups + 1) * 128;
  plan.shared_bytes = SharedBytes(desc, info, plan.stages);
  const int64_t columns = desc.recipe == GemmRecipe::kDense ? kDenseColumns : kBlockColumns;
  const int64_t main = IsPlain(info) || desc.recipe == GemmRecipe::kInt8 ? desc.k() : desc.k4;
  plan.schedule = {static_cast<int32_t>(tiles / info.cluster),
                   static_cast<int32_t>(DivideUp(main, columns)), plan.grid / info.cluster, 0};
  if (divided) {
    plan.schedule.divided =
        DividedUnits(plan.schedule.units, plan.schedule.blocks, plan.schedule.clusters);
    if (plan.schedule.divided == 0) return std::nullopt;
  }
  plan.estimated_clocks = EstimateClocks(desc, info, device, plan);
  return plan;
}

}  // namespace

std::string_view Name(GemmRecipe recipe) { return kRecipeNames[static_cast<size_t>(recipe)]; }
std::string_view Name(GemmOutput output) { return kOutputNames[static_cast<size_t>(output)]; }

std::span<const GemmKernelInfo> GemmKernels() { return kKernels; }

const GemmKernelInfo& Info(GemmKernel kernel) {
  const GemmKernelInfo& info = kKernels[static_cast<size_t>(kernel)];
  ATOM_CHECK(info.kernel == kernel, "kernel {} is not at its place", info.name);
  return info;
}

std::string_view Name(GemmKernel kernel) { return Info(kernel).name; }

std::string WhyNotComputed(const GemmDesc& desc) {
  if (desc.m <= 0 || desc.total_n() <= 0 || desc.k() <= 0) {
    return fmt::format("a product of {} × {} × {} is empty", desc.m, desc.total_n(), desc.k());
  }
  if (desc.experts > kMaxExperts) {
    return fmt::format("{} experts: at most {}", desc.experts, kMaxExperts);
  }
  if (desc.k4 > 65536) return fmt::format("{} low-bit columns: INT32 sums hold 65,536", desc.k4);
  if (desc.recipe == GemmRecipe::kDense) {
    if (desc.k4 != 0) return fmt::format("dense weights with {} 4-bit columns", desc.k4);
    return desc.experts == 0 ? "" : "no tiled kernel for dense weights of experts";
  }
  const bool group = desc.recipe == GemmRecipe::kGroup;
  const PackedWeightLayout layout{desc.n[0], desc.k4, desc.k8, desc.group,
                                  group ? GroupScale::kHalf : GroupScale::kInteger};
  if (std::string why = WhyNotPacked(layout); !why.empty()) return why;
  if (group && desc.group % kBlockColumns != 0) {
    return fmt::format("groups of {} with fp16 scales: a multiple of 128 is needed", desc.group);
  }
  if (desc.recipe == GemmRecipe::kInt8 && desc.k4 != 0) {
    return fmt::format("8-bit weights with {} 4-bit columns", desc.k4);
  }
  for (const GemmKernelInfo& info : kKernels) {
    if (PlanGemm(desc, GemmDevice{}, info.kernel)) return "";
  }
  return fmt::format("no kernel for recipe {} with {} low-bit and {} outlier columns",
                     Name(desc.recipe), desc.k4, desc.k8);
}

std::vector<GemmPlan> GemmPlans(const GemmDesc& desc, const GemmDevice& device) {
  std::vector<GemmPlan> plans;
  for (const GemmKernelInfo& info : kKernels) {
    for (const bool token_clusters : {false, true}) {
      for (const bool divided : {false, true}) {
        const auto plan = MakePlan(desc, device, info, token_clusters, divided);
        if (plan) plans.push_back(*plan);
      }
    }
  }
  return plans;
}

std::optional<GemmPlan> PlanGemm(const GemmDesc& desc, const GemmDevice& device,
                                 GemmKernel kernel) {
  const GemmKernelInfo& info = Info(kernel);
  std::optional<GemmPlan> best;
  // Where one cluster has all tokens, a weight's bytes are asked for once: first of equals.
  const bool tokens_first = desc.token_tiles(info.tile_tokens) == info.cluster;
  for (const bool token_clusters : {tokens_first, !tokens_first}) {
    std::optional<GemmPlan> plan = MakePlan(desc, device, info, token_clusters, false);
    if (!plan) continue;
    // Units are divided where that saves much at full speed; power, which may bound both, does not
    // tell them apart. Parts of K out of step find less in L2 than estimated: measured, they paid
    // at 0.61 of the whole units' clocks, not from 0.82 on (docs/performance-gpu.md).
    constexpr double kWorthDividing = 0.7;
    const auto divided = MakePlan(desc, device, info, token_clusters, true);
    if (divided &&
        ScheduleClocks(desc, info, *divided) < kWorthDividing * ScheduleClocks(desc, info, *plan)) {
      plan = divided;
    }
    if (!best || plan->estimated_clocks < best->estimated_clocks) best = plan;
  }
  return best;
}

GemmPlan PlanGemm(const GemmDesc& desc, const GemmDevice& device) {
  std::optional<GemmPlan> best;
  for (const GemmKernelInfo& info : kKernels) {
    std::optional<GemmPlan> plan = PlanGemm(desc, device, info.kernel);
    if (plan && (!best || plan->estimated_clocks < best->estimated_clocks)) best = plan;
  }
  ATOM_CHECK(best.has_value(), "{}", WhyNotComputed(desc));
  return *best;
}

std::string ToString(const GemmPlan& plan) {
  const GemmKernelInfo& info = Info(plan.kernel);
  const int64_t tiles = plan.row_tiles * plan.token_tiles;
  std::string text = fmt::format(
      "{}: {} × {} tiles, {} stages, clusters of {}{}, {} warpgroups; grid {} × {} threads, {} "
      "tiles, ",
      info.name, info.tile_rows, info.tile_tokens, plan.stages, info.cluster,
      plan.token_clusters ? " along the tokens" : "", info.warpgroups, plan.grid, plan.threads,
      tiles);
  if (plan.schedule.divided > 0) {
    text += fmt::format("{:.2f} waves, the last of parts",
                        static_cast<double>(tiles) / static_cast<double>(plan.grid));
  } else {
    text += fmt::format("{} waves", DivideUp(tiles, plan.grid));
  }
  return text + fmt::format(", {} bytes of shared memory", plan.shared_bytes);
}

}  // namespace atom::kernels::cuda
