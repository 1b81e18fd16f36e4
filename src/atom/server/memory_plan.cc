#include "atom/server/memory_plan.h"

#include <algorithm>
#include <fstream>

#include "atom/artifact/layer_tensors.h"
#include "atom/kernels/kv_page.h"
#include "atom/model/kv_cache.h"
#include "atom/model/weights.h"

namespace atom::server {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
/// Code, tokenizer, stacks, connections; measured below 100 MiB.
constexpr int64_t kProgramBytes = int64_t{128} << 20;
constexpr int64_t kLeastContext = 256;
/// Logits of at most so many rows at once (model/transformer.cc).
constexpr int64_t kHeadRows = 256;

int64_t WeightBytes(const model::ModelFiles& files) {
  const std::string embedding = files.tensors().FileName(artifact::kEmbeddingName);
  int64_t bytes = 0;
  for (const io::SafetensorsFile& shard : files.checkpoint.shards()) {
    for (const io::TensorInfo& tensor : shard.tensors()) {
      bytes += tensor.end - tensor.begin;
      // One table serves both ends but is kept twice: rows to look up, and packed.
      const bool twice = files.spec.head.tied && tensor.name == embedding;
      if (twice) bytes += tensor.end - tensor.begin;
    }
  }
  return bytes;
}

int64_t ScratchBytes(const model::ModelSpec& spec, const MemoryQuestion& question,
                     int64_t context) {
  constexpr int64_t kFloat = sizeof(float);
  const model::AttentionSpec& attention = spec.layer(0).attention;
  const int64_t inner = spec.layer(0).ffn.inner;
  const int64_t q = attention.q_width();
  const int64_t qkv = q + 2 * attention.kv_width();
  const int64_t tensors = 2 * spec.hidden_size + qkv + q + 2 * inner;
  // Inputs of the linears, unquantized at the most.
  const int64_t inputs = 2 * spec.hidden_size + q + inner;
  const int64_t logits = std::min(question.rows, kHeadRows) * spec.vocab_size;
  const int64_t rope = context * attention.head_dim;
  // The sampler keeps a copy of the logits.
  return kFloat * (question.rows * (tensors + inputs) + 2 * logits + rope) + kProgramBytes;
}

int64_t PageBytes(const model::ModelFiles& files) {
  int64_t bytes = 0;
  for (int64_t layer = 0; layer < files.spec.num_layers(); ++layer) {
    const artifact::LayerShape shape = model::ShapeOfLayer(files.spec, layer);
    artifact::HostLayer host(shape);
    if (files.quantization.has_value()) {
      artifact::ApplyFormats(*files.quantization, layer, shape, host);
    }
    const kernels::KvPageLayout layout = {.format = host.kv,
                                          .kv_heads = files.spec.layer(layer).attention.kv_heads,
                                          .head_dim = files.spec.layer(layer).attention.head_dim};
    bytes += layout.PageBytes();
  }
  return bytes;
}

}  // namespace

std::string MemoryPlan::Description() const {
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / kGib; };
  return fmt::format(
      "weights {:.2f} GiB, scratch {:.2f} GiB, KV {:.2f} GiB: {} pages, {} positions", gib(weights),
      gib(scratch), gib(pages * page_bytes), pages, pages * kernels::kKvPagePositions);
}

Result<MemoryPlan> PlanMemory(const model::ModelFiles& files, const MemoryQuestion& question) {
  const int64_t most = files.spec.max_position_embeddings;
  if (question.context > most) {
    return MakeError("--max-context: expected at most the model's {} tokens, found {}", most,
                     question.context);
  }
  MemoryPlan plan;
  plan.context = question.context > 0 ? question.context : most;
  plan.weights = WeightBytes(files);
  plan.scratch = ScratchBytes(files.spec, question, plan.context);
  plan.page_bytes = PageBytes(files);
  const int64_t wanted = question.max_sequences * model::PagesFor(plan.context);
  const int64_t rest = question.budget - plan.weights - plan.scratch;
  plan.pages = std::clamp<int64_t>(rest / plan.page_bytes, 0, wanted);
  const int64_t room = plan.pages * kernels::kKvPagePositions;
  const int64_t needed = question.context > 0 ? question.context : std::min(most, kLeastContext);
  if (room < needed) {
    return MakeError(
        "--memory: expected at least {:.2f} GiB (weights {:.2f}, scratch {:.2f}, KV of {} "
        "positions {:.2f}), found {:.2f} GiB",
        static_cast<double>(plan.weights + plan.scratch +
                            model::PagesFor(needed) * plan.page_bytes) /
            kGib,
        static_cast<double>(plan.weights) / kGib, static_cast<double>(plan.scratch) / kGib, needed,
        static_cast<double>(model::PagesFor(needed) * plan.page_bytes) / kGib,
        static_cast<double>(question.budget) / kGib);
  }
  plan.context = std::min(plan.context, room);
  return plan;
}

int64_t AvailableMemory() {
  // "MemAvailable:   22012345 kB"
  std::ifstream file("/proc/meminfo");
  for (std::string word; file >> word;) {
    int64_t kib = 0;
    if (word == "MemAvailable:" && file >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace atom::server
