#include "atom/server/memory_plan.h"

#include <algorithm>

#include "atom/kernels/step_results.h"
#include "atom/model/kv_cache.h"
#include "atom/model/step_plan.h"
#include "atom/model/weight_bytes.h"
#include "atom/model/weights.h"

namespace atom::server {
namespace {

constexpr double kMib = 1024.0 * 1024.0;
constexpr double kGib = 1024.0 * kMib;
/// On the host: code, tokenizer, stacks, connections; measured below 100 MiB.
constexpr int64_t kProgramBytes = int64_t{128} << 20;
constexpr int64_t kLeastContext = 256;

bool Dequantizes(std::span<const quant::Feature> missing) {
  return std::ranges::find(missing, quant::Feature::kTwoLevelScales) != missing.end();
}

/// What the model's layers ask for, from its files' headers.
struct LayerNeeds {
  kernels::StepPlan steps;
  std::vector<kernels::KvShape> kv;
};

LayerNeeds NeedsOf(const model::ModelFiles& files, const kernels::Backend& backend,
                   const model::StepLimits& limits) {
  LayerNeeds needs{.steps = model::PlanSteps(files.spec, model::WithPadding(backend, limits),
                                             backend.kv_page_positions()),
                   .kv = {}};
  const std::vector<quant::Feature> missing = files.MissingKernels(backend);
  for (int64_t layer = 0; layer < files.spec.num_layers(); ++layer) {
    const artifact::LayerShape shape = model::ShapeOfLayer(files.spec, layer);
    const model::AttentionSpec& attention = files.spec.layer(layer).attention;
    artifact::HostLayer formats(shape);
    int64_t weight_group = 0;
    if (files.quantization.has_value()) {
      artifact::ApplyFormats(*files.quantization, layer, shape, formats);
      const int64_t group = files.quantization->recipe.weight.group;
      const bool packed = !files.quantization->simulated && !Dequantizes(missing);
      if (packed) weight_group = group > 0 ? group : files.spec.hidden_size;
      if (!missing.empty()) model::MakeFakeQuantized(missing, formats);
    }
    model::AddLinears(model::LinearsOf(files.spec.layer(layer).ffn, shape, formats, weight_group),
                      needs.steps);
    model::AddExactPages(formats.kv.exact_window, limits, backend.kv_page_positions(), needs.steps);
    needs.kv.push_back({backend.Runnable(formats.kv), attention.kv_heads, attention.head_dim});
  }
  return needs;
}

double Gib(int64_t bytes) { return static_cast<double>(bytes) / kGib; }

/// What steps take, where.
void AddSteps(const model::ModelFiles& files, const kernels::Backend& backend,
              const model::StepLimits& limits, const kernels::StepPlan& steps, int64_t server_bytes,
              MemoryPlan& plan) {
  plan.scratch = model::StepBytes(backend, files.spec, limits, steps);
  const std::optional<kernels::DeviceRoom> device = backend.Room();
  plan.on_device = device.has_value();
  if (!device) {
    plan.scratch += kProgramBytes + server_bytes;
    return;
  }
  plan.reserve = device->reserve;
  plan.pinned = backend.PinnedBytes(steps) +
                (1 + backend.steps_in_flight()) * kernels::StepResults::Bytes(limits.rows);
}

/// Of a budget that has no room for `positions` positions, which take `kv` bytes.
Error TooLittle(const MemoryPlan& plan, int64_t positions, int64_t kv, int64_t budget) {
  const std::string reserve =
      plan.on_device ? fmt::format(", the device's own {:.2f}", Gib(plan.reserve)) : "";
  return Error{
      fmt::format("--memory: expected at least {:.2f} GiB (weights {:.2f}, scratch {:.2f}{}, KV of "
                  "{} positions {:.2f}), found {:.2f} GiB",
                  Gib(plan.weights + plan.scratch + plan.reserve + kv), Gib(plan.weights),
                  Gib(plan.scratch), reserve, positions, Gib(kv), Gib(budget))};
}

}  // namespace

std::string MemoryPlan::Description() const {
  std::string text =
      fmt::format("weights {:.2f} GiB, scratch {:.2f} GiB, KV {:.2f} GiB: {} pages, {} positions",
                  Gib(weights), Gib(scratch), Gib(kv_bytes()), pages, pages * page_positions);
  if (exact_pages > 0) text += fmt::format(", {} exact pages", exact_pages);
  if (on_device) {
    text += fmt::format(
        "; {:.2f} GiB for the device's own, {:.2f} GiB in all, beside {:.0f} MiB "
        "of pinned host memory",
        Gib(reserve), Gib(total()), static_cast<double>(pinned) / kMib);
  }
  return text;
}

Result<MemoryPlan> PlanMemory(const model::ModelFiles& files, const kernels::Backend& backend,
                              const MemoryQuestion& question) {
  const int64_t most = files.spec.max_position_embeddings;
  if (question.context > most) {
    return MakeError("--max-context: expected at most the model's {} tokens, found {}", most,
                     question.context);
  }
  if (Status s = model::CheckRuns(files.spec, backend); !s.ok()) return s.error();
  MemoryPlan plan;
  plan.context = question.context > 0 ? question.context : most;
  plan.weights = model::WeightBytes(files, backend);
  const model::StepLimits limits = {
      .rows = question.rows, .positions = plan.context, .sequences = question.max_sequences};
  const LayerNeeds needs = NeedsOf(files, backend, limits);
  AddSteps(files, backend, limits, needs.steps, question.server_bytes, plan);
  plan.page_bytes = model::KvPageBytes(backend, needs.kv);
  plan.exact_page_bytes = model::ExactPageBytes(backend, needs.kv);
  plan.page_positions = backend.kv_page_positions();
  const auto exact_pages_for = [&](int64_t pages) {
    return model::ExactPagesFor({.pages = pages,
                                 .page_positions = plan.page_positions,
                                 .exact_window = model::ExactWindowOf(needs.kv)},
                                limits);
  };
  const auto kv_bytes_for = [&](int64_t pages) {
    return pages * plan.page_bytes + exact_pages_for(pages) * plan.exact_page_bytes;
  };
  const auto pages_for = [&plan](int64_t positions) {
    return kernels::PagesFor(positions, plan.page_positions);
  };
  const int64_t wanted = question.max_sequences * pages_for(plan.context);
  const int64_t rest = question.budget - plan.weights - plan.scratch - plan.reserve;
  // The most whose exact pages fit beside them.
  int64_t too_many = wanted + 1;
  while (too_many - plan.pages > 1) {
    const int64_t middle = plan.pages + (too_many - plan.pages) / 2;
    (kv_bytes_for(middle) <= rest ? plan.pages : too_many) = middle;
  }
  plan.exact_pages = exact_pages_for(plan.pages);
  const kernels::PagePool pool = {.page_positions = plan.page_positions,
                                  .window = files.spec.window()};
  const auto holds = [&](int64_t positions) { return pool.PagesAtOnce(positions) <= plan.pages; };
  const int64_t room = plan.pages * plan.page_positions;
  const int64_t needed = question.context > 0 ? question.context : std::min(most, kLeastContext);
  const int64_t least = pool.PagesAtOnce(needed);
  if (!holds(needed)) return TooLittle(plan, needed, kv_bytes_for(least), question.budget);
  if (const auto device = backend.Room(); device && plan.total() > device->free) {
    return MakeError("--memory: expected at most the {:.2f} GiB that the device has free, found {}",
                     Gib(device->free), plan.Description());
  }
  if (!holds(plan.context)) plan.context = std::min(plan.context, room);
  return plan;
}

}  // namespace atom::server
