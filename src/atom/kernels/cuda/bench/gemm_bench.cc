#include "atom/kernels/cuda/bench/gemm_bench.h"

#include <algorithm>
#include <deque>
#include <fmt/format.h>
#include <optional>

#include "atom/kernels/cuda/bench/gemm_inputs.h"
#include "atom/kernels/cuda/bench/row_share.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/gemm/gemm_choice.h"

namespace atom::kernels::cuda {
namespace {

constexpr GemmRecipe kRecipes[] = {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8,
                                   GemmRecipe::kW4A16, GemmRecipe::kDense};
/// A graph of small products is long enough to hide what its launch costs.
constexpr double kGraphUs = 4000;

/// The published recipe on 4-bit tensor cores, which Hopper emulates: measured where it is named.
constexpr std::string_view kS4Name = "s4";

struct Shape {
  int64_t m, n, k;
};

/// A row in the making, and its launches.
struct Contender {
  CudaBenchRow row;
  std::string_view ceiling = kInt8Ceiling;  ///< of its products; empty where none was measured
  BenchMemory memory;
  std::optional<CublasProduct> product;
  std::optional<TimedLaunches> launches;
};

GemmDesc Describe(GemmRecipe recipe, const Shape& shape, int64_t outliers) {
  const bool one_width = recipe == GemmRecipe::kInt8 || recipe == GemmRecipe::kDense;
  GemmDesc desc;
  desc.recipe = recipe;
  desc.m = shape.m;
  desc.n = {shape.n, 0, 0};
  desc.k8 = one_width ? shape.k : outliers;
  desc.k4 = shape.k - desc.k8;
  desc.group = one_width ? 0 : 128;
  return desc;
}

/// The planned kernel, or every kernel that computes it.
std::vector<GemmChoice> Choices(const GemmDesc& desc, const GemmDevice& device, bool all) {
  if (!all) return {ChooseGemm(desc, device)};
  std::vector<GemmChoice> choices;
  if (WhyNotComputed(desc).empty()) {
    for (const GemmPlan& plan : GemmPlans(desc, device)) choices.emplace_back(plan);
  }
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (const auto plan = PlanStream(desc, device, info.kernel)) choices.emplace_back(*plan);
  }
  return choices;
}

class GemmBench {
 public:
  GemmBench(const CudaGemmOptions& options, const DeviceProperties& device, const Timer& timer,
            const CudaCard& card, const CublasLt* lt)
      : options_(options),
        device_(device),
        gemm_device_{device.multiprocessors, device.shared_bytes_per_block},
        timer_(timer),
        card_(card),
        lt_(lt) {}

  Status Run(const Shape& shape, const OnCudaRow& on_row) {
    std::deque<Contender> contenders;
    if (Status status = AddOurs(shape, contenders); !status.ok()) return status;
    if (std::ranges::count(options_.recipes, kS4Name) > 0) {
      if (Status status = AddS4(shape, contenders.emplace_back()); !status.ok()) return status;
    }
    if (contenders.empty()) return {};
    for (const CublasType type : kCublasTypes) {
      // Its INT8 takes no products of a few tokens.
      if (lt_ == nullptr || options_.experts > 0 || (type == CublasType::kInt8 && shape.m < 16))
        continue;
      if (Status status = AddCublas(type, shape, contenders.emplace_back()); !status.ok()) {
        return status;
      }
    }
    for (Contender& contender : contenders) {
      Status status = contender.launches->MeasureShort(timer_.stream(), timer_.nvml());
      if (!status.ok()) return status;
    }
    if (Status status = MeasureRounds(contenders); !status.ok()) return status;
    for (Contender& contender : contenders) {
      contender.row.timing = contender.launches->timing();
      FillShare(card_, contender.ceiling, contender.row);
    }
    for (Contender& contender : contenders) {
      for (const Contender& baseline : contenders) {
        if (!baseline.product) continue;
        contender.row.ratio.emplace_back(
            baseline.row.kernel.substr(0, baseline.row.kernel.find(',')),
            baseline.row.timing.us() / contender.row.timing.us());
      }
      on_row(contender.row);
    }
    return {};
  }

 private:
  Status AddOurs(const Shape& shape, std::deque<Contender>& contenders) {
    for (const GemmRecipe recipe : kRecipes) {
      const bool wanted =
          options_.recipes.empty() || std::ranges::count(options_.recipes, Name(recipe)) > 0;
      const bool four_bits = recipe == GemmRecipe::kInteger || recipe == GemmRecipe::kGroup;
      for (const int64_t outliers : {options_.outliers, int64_t{0}}) {
        if (!wanted ||
            (outliers == 0 && options_.outliers != 0 && !(options_.ablation && four_bits))) {
          continue;
        }
        GemmDesc desc = Describe(recipe, shape, outliers);
        std::vector<ExpertRows> rows;
        if (options_.experts > 0) {
          desc.experts = options_.experts;
          rows = RouteRandomly(shape.m, desc.experts);
          desc.m = GatheredRows(rows);
        }
        if (const std::string why = WhyNotChosen(desc); !why.empty()) {
          return MakeError("bench gemm, {} {} x {}: {}", Name(recipe), shape.n, shape.k, why);
        }
        for (const GemmChoice& choice : Choices(desc, gemm_device_, options_.all_kernels)) {
          Status status = AddKernel(shape, desc, rows, choice, contenders);
          if (!status.ok()) return status;
        }
      }
    }
    return {};
  }

  Status AddKernel(const Shape& shape, const GemmDesc& desc, const std::vector<ExpertRows>& rows,
                   const GemmChoice& choice, std::deque<Contender>& contenders) {
    const bool ablated = desc.k8 == 0 && options_.outliers != 0;
    const std::string name =
        RowName(fmt::format("{}{}{}", Name(desc.recipe),
                            desc.experts > 0 ? fmt::format(" {} experts", desc.experts) : "",
                            ablated ? " without outliers" : ""),
                shape);
    if (name.find(options_.cases) == std::string::npos) return {};
    Contender& contender = contenders.emplace_back();
    FillRow(name, shape, contender.row);
    contender.row.kernel = ToString(choice);
    contender.row.sizes.emplace_back("outliers", static_cast<double>(desc.k4 == 0 ? 0 : desc.k8));
    const int64_t weight_bytes = WeightBytes(desc);
    int64_t bytes = weight_bytes;  // that are read: those of experts with rows
    if (desc.experts > 0) {
      contender.row.sizes.emplace_back("experts", static_cast<double>(desc.experts));
      bytes = bytes / desc.experts *
              std::ranges::count_if(rows, [](const ExpertRows& its) { return its.count > 0; });
    }
    const bool wide = desc.recipe == GemmRecipe::kW4A16 || desc.recipe == GemmRecipe::kDense;
    if (wide) contender.ceiling = kBFloat16Ceiling;
    contender.row.bytes =
        static_cast<double>(bytes + desc.m * desc.k() * (wide ? 2 : 1) + 2 * desc.m * desc.n[0]);
    const GemmInputs inputs(desc, rows, RotatingCopies(weight_bytes, device_.l2_bytes),
                            device_.multiprocessors, contender.memory);
    return Capture(contender, inputs.copies(), [=](int i, cudaStream_t stream) {
      return LaunchGemm(desc, choice, inputs.operands(i), {stream, true});
    });
  }

  Status AddS4(const Shape& shape, Contender& contender) {
    FillRow(RowName(kS4Name, shape), shape, contender.row);
    const int64_t k8 = options_.outliers, k4 = shape.k - k8;
    const S4Inputs inputs(shape.m, shape.n, k4, k8, device_.l2_bytes, contender.memory);
    const S4GemmCall call = inputs.call(0);
    if (const std::string why = WhyNotComputed(call); !why.empty()) {
      return MakeError("bench gemm, {}: {}", contender.row.name, why);
    }
    contender.row.kernel = ToString(PlanS4Gemm(call, device_.compute_capability));
    contender.row.bytes =
        static_cast<double>((shape.m + shape.n) * (k4 / 2 + k8) + 2 * shape.m * shape.n);
    return Capture(contender, inputs.copies(), [inputs](int i, cudaStream_t stream) {
      return LaunchS4Gemm(inputs.call(i), stream);
    });
  }

  Status AddCublas(CublasType type, const Shape& shape, Contender& contender) {
    FillRow(RowName(Name(type), shape), shape, contender.row);
    const int64_t bytes = shape.n * shape.k * Bytes(type);
    contender.row.bytes =
        static_cast<double>(bytes + shape.m * shape.k * Bytes(type) + 2 * shape.m * shape.n);
    if (type == CublasType::kHalf) contender.ceiling = kBFloat16Ceiling;
    const int copies = RotatingCopies(bytes, device_.l2_bytes);
    const std::vector<std::byte> pattern = CublasPattern(type);
    const auto* w = static_cast<const std::byte*>(contender.memory.Fill(pattern, copies * bytes));
    const void* x = contender.memory.Fill(pattern, shape.m * shape.k * Bytes(type));
    void* y = contender.memory.Take<int32_t>(shape.m * shape.n);
    if (!contender.memory.status().ok()) return contender.memory.status();
    Result<CublasProduct> made = CublasProduct::Create(*lt_, type, shape.m, shape.n, shape.k);
    if (!made.ok()) return made.error();
    CublasProduct& product = contender.product.emplace(std::move(made).value());
    const auto enqueue = [x, w, y, copies, bytes, &product](int i, cudaStream_t stream) {
      return product.Enqueue(x, w + i % copies * bytes, y, stream);
    };
    // The fastest of the proposed algorithms; some of them refuse.
    double best = 0;
    int chosen = -1;
    for (int i = 0; i < product.algorithms(); ++i) {
      product.Choose(i);
      const Result<double> us = TimeOnce(enqueue);
      if (!us.ok() || (chosen >= 0 && *us >= best)) continue;
      best = *us;
      chosen = i;
    }
    if (chosen < 0) return MakeError("cuBLASLt has no algorithm for {}", contender.row.name);
    product.Choose(chosen);
    contender.row.kernel =
        fmt::format("{}, algorithm {} of {}", Name(type), chosen, product.algorithms());
    return Capture(contender, copies, enqueue);
  }

  Result<double> TimeOnce(const Enqueue& enqueue) const {
    Result<LaunchGraph> graph = LaunchGraph::Capture(timer_.stream(), 4, enqueue);
    if (!graph.ok()) return graph.error();
    if (const Result<double> warm = graph->Replay(1, timer_.stream()); !warm.ok()) return warm;
    return graph->Replay(2, timer_.stream());
  }

  Status Capture(Contender& contender, int copies, const Enqueue& enqueue) const {
    if (!contender.memory.status().ok()) return contender.memory.status();
    const Result<double> us = TimeOnce(enqueue);
    if (!us.ok()) return us.error();
    const int wanted = std::max(copies, static_cast<int>(kGraphUs / *us));
    Result<LaunchGraph> graph =
        LaunchGraph::Capture(timer_.stream(), (wanted + copies - 1) / copies * copies, enqueue);
    if (!graph.ok()) return graph.error();
    contender.launches.emplace(std::move(graph).value());
    return {};
  }

  Status MeasureRounds(std::deque<Contender>& contenders) const {
    std::vector<TimedLaunches*> order;
    for (Contender& contender : contenders) order.push_back(&*contender.launches);
    for (int round = 0; round < options_.rounds && options_.seconds > 0 && !order.empty();
         ++round) {
      // The card's power budget remembers who ran before: every round in another order.
      std::ranges::rotate(order, order.begin() + std::min<int64_t>(3, std::ssize(order) - 1));
      if (round % 2 == 1) std::ranges::reverse(order);
      for (TimedLaunches* launches : order) {
        Status status = launches->MeasureRound(timer_.stream(), timer_.nvml(), options_.seconds);
        if (!status.ok()) return status;
      }
    }
    return {};
  }

  static std::string RowName(std::string_view kind, const Shape& shape) {
    return fmt::format("{} {} x {}, M {}", kind, shape.n, shape.k, shape.m);
  }
  static void FillRow(const std::string& name, const Shape& shape, CudaBenchRow& row) {
    row.name = name;
    row.sizes = {{"m", static_cast<double>(shape.m)},
                 {"n", static_cast<double>(shape.n)},
                 {"k", static_cast<double>(shape.k)}};
    row.operations = 2.0 * static_cast<double>(shape.m * shape.n) * static_cast<double>(shape.k);
  }

  const CudaGemmOptions& options_;
  const DeviceProperties& device_;
  GemmDevice gemm_device_;
  const Timer& timer_;
  const CudaCard& card_;
  const CublasLt* lt_;
};

}  // namespace

Status BenchGemm(const CudaGemmOptions& options, const DeviceProperties& device, const Timer& timer,
                 const CudaCard& card, const CublasLt* lt, const OnCudaRow& on_row) {
  for (const std::string& recipe : options.recipes) {
    const auto named = [&](GemmRecipe known) { return recipe == Name(known); };
    if (recipe == kS4Name || std::ranges::any_of(kRecipes, named)) continue;
    return MakeError(
        "bench gemm: cuda has no kernels \"{}\"; known are integer, group, int8, "
        "w4a16, dense, s4",
        recipe);
  }
  GemmBench bench(options, device, timer, card, lt);
  for (const CudaGemmShape& shape : options.shapes) {
    for (const int64_t m : options.tokens) {
      if (Status status = bench.Run({m, shape.n, shape.k}, on_row); !status.ok()) return status;
    }
  }
  return {};
}

}  // namespace atom::kernels::cuda
