#include "atom/server/memory_plan.h"

#include <algorithm>
#include <fstream>

#include "atom/artifact/layer_tensors.h"
#include "atom/core/cgroup.h"
#include "atom/model/kv_cache.h"
#include "atom/model/step_plan.h"
#include "atom/model/weights.h"

namespace atom::server {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
/// Code, tokenizer, stacks, connections; measured below 100 MiB.
constexpr int64_t kProgramBytes = int64_t{128} << 20;
constexpr int64_t kLeastContext = 256;

/// Bytes in memory of what takes one in a file, where codes become fp32 for want of kernels.
int64_t Widening(const std::string& tensor) {
  if (tensor.ends_with(".codes4")) return 2 * sizeof(float);
  return tensor.ends_with(".codes8") ? sizeof(float) : 1;
}

bool Dequantizes(std::span<const quant::Feature> missing) {
  return std::ranges::find(missing, quant::Feature::kTwoLevelScales) != missing.end();
}

int64_t WeightBytes(const model::ModelFiles& files, const kernels::Backend& backend) {
  const bool dequantizes = Dequantizes(files.MissingKernels(backend));
  const std::string embedding = files.tensors().FileName(artifact::kEmbeddingName);
  int64_t bytes = 0;
  for (const io::StoredFile& file : files.checkpoint.Files()) {
    for (const io::StoredTensor& tensor : file.tensors) {
      bytes += tensor.read_bytes() * (dequantizes ? Widening(tensor.name) : 1);
      // One table serves both ends but is kept twice: rows to look up, and packed.
      const bool twice = files.spec.head.tied && tensor.name == embedding;
      if (twice) bytes += tensor.read_bytes();
    }
  }
  return bytes;
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

}  // namespace

std::string MemoryPlan::Description() const {
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / kGib; };
  std::string text =
      fmt::format("weights {:.2f} GiB, scratch {:.2f} GiB, KV {:.2f} GiB: {} pages, {} positions",
                  gib(weights), gib(scratch), gib(kv_bytes()), pages, pages * page_positions);
  if (exact_pages > 0) text += fmt::format(", {} exact pages", exact_pages);
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
  plan.weights = WeightBytes(files, backend);
  const model::StepLimits limits = {
      .rows = question.rows, .positions = plan.context, .sequences = question.max_sequences};
  const LayerNeeds needs = NeedsOf(files, backend, limits);
  plan.scratch = model::StepBytes(backend, files.spec, limits, needs.steps) + kProgramBytes +
                 question.server_bytes;
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
  const int64_t rest = question.budget - plan.weights - plan.scratch;
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
  if (!holds(needed)) {
    return MakeError(
        "--memory: expected at least {:.2f} GiB (weights {:.2f}, scratch {:.2f}, KV of {} "
        "positions {:.2f}), found {:.2f} GiB",
        static_cast<double>(plan.weights + plan.scratch + kv_bytes_for(least)) / kGib,
        static_cast<double>(plan.weights) / kGib, static_cast<double>(plan.scratch) / kGib, needed,
        static_cast<double>(kv_bytes_for(least)) / kGib,
        static_cast<double>(question.budget) / kGib);
  }
  if (!holds(plan.context)) plan.context = std::min(plan.context, room);
  return plan;
}

int64_t AvailableMemory(const std::filesystem::path& root) {
  // "MemAvailable:   22012345 kB"
  int64_t available = 0;
  std::ifstream file(root / "proc/meminfo");
  for (std::string word; file >> word;) {
    int64_t kib = 0;
    if (word != "MemAvailable:" || !(file >> kib)) continue;
    available = kib * 1024;
    break;
  }
  return std::min(available, CgroupMemory(root).value_or(available));
}

int64_t DefaultBudget(int64_t available) { return available / 10 * 9; }

}  // namespace atom::server
