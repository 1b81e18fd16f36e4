#include "atom/bench/serving/serving_memory.h"

#include <algorithm>
#include <fmt/format.h>

namespace atom::bench {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

int64_t ScratchBytes(const model::Transformer& transformer) {
  constexpr int64_t kFloat = sizeof(float);
  const model::ModelSpec& spec = transformer.spec();
  const model::LayerSpec& layer = spec.layer(0);
  const model::Transformer::Limits& limits = transformer.limits();
  const int64_t heads = layer.attention.q_width();
  const int64_t qkv = heads + 2 * layer.attention.kv_width();
  const int64_t tensors = 2 * spec.hidden_size + qkv + heads + 2 * layer.ffn.inner;
  // The linears' inputs, unquantized at the most, so that the same is set aside for all recipes.
  const int64_t inputs = 2 * spec.hidden_size + heads + layer.ffn.inner;
  const int64_t logits = 2 * transformer.head_rows() * spec.vocab_size;  // the sampler's copy
  return kFloat *
         (limits.rows * (tensors + inputs) + logits + limits.positions * layer.attention.head_dim);
}

}  // namespace

int64_t ServingMemory::PagesWithin(int64_t budget) const {
  return std::max<int64_t>(budget - weights - scratch, 0) / page_bytes;
}

ServingMemory MemoryOf(const RandomModel& model) {
  const model::AttentionSpec& attention = model.transformer->spec().layer(0).attention;
  const kernels::KvPageLayout layout{model.kv, attention.kv_heads, attention.head_dim};
  return {.weights = model.cost.linear_bytes + 2 * model.cost.head_bytes,
          .scratch = ScratchBytes(*model.transformer),
          .page_bytes = model.cost.layers * layout.PageBytes()};
}

std::string GibText(int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / kGib);
}

}  // namespace atom::bench
