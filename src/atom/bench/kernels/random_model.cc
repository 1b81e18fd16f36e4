#include "atom/bench/kernels/random_model.h"

#include "atom/bench/kernels/attention_bench.h"
#include "atom/bench/kernels/kv_filling.h"
#include "atom/bench/kernels/random_weights.h"
#include "atom/core/progress.h"
#include "atom/model/weights.h"

namespace atom::bench {
namespace {

bool Unquantized(const quant::Recipe& recipe) {
  return recipe.weight.bits == 16 && recipe.activation.bits == 16 && recipe.kv.bits == 16;
}

int64_t InputsOf(const artifact::LayerShape& shape, artifact::EdgeId edge) {
  for (const artifact::LinearId id : artifact::kLinears) {
    if (artifact::InputEdge(id) == edge) return shape[id].k;
  }
  return 0;
}

}  // namespace

artifact::HostLayer RandomLayer(const model::ModelConfig& config, const quant::Recipe& recipe) {
  Rng rng(5);
  const artifact::LayerShape shape = model::ShapeOfLayer(config);
  artifact::HostLayer layer;
  layer.input_norm.assign(static_cast<size_t>(config.hidden_size), 1.0f);
  layer.post_norm = layer.input_norm;
  const quant::WeightFormat format = quant::WeightFormatFor(recipe);
  for (const artifact::LinearId id : artifact::kLinears) {
    artifact::HostLinear& linear = layer[id];
    const auto& [n, k, bias] = shape[id];
    if (recipe.weight.bits == 16) {
      linear.weight = RandomDense(rng, DType::kBF16, n, k);
    } else {
      linear.weight = RandomMatrix(rng, format, n, k);
    }
    if (bias) linear.bias.assign(static_cast<size_t>(n), 0.0f);
  }
  for (const artifact::EdgeId id : artifact::kEdges) {
    const int64_t k = InputsOf(shape, id);
    layer[id].format = quant::ActivationFormatFor(recipe, k, /*simulated=*/false);
    if (recipe.reorder) layer[id].permutation = RandomPermutation(rng, k);
  }
  layer.kv = quant::KvFormatFor(recipe, /*simulated=*/false);
  if (Unquantized(recipe)) layer.kv.storage = quant::KvStorage::kBF16;
  return layer;
}

double ModelCost::PrefillOperations(int64_t tokens) const {
  return 2.0 * static_cast<double>(linear_weights) * static_cast<double>(tokens) +
         static_cast<double>(layers) * AttentionOperations(shape, 0, tokens);
}

double ModelCost::DecodeBytes(int64_t depth, int64_t tokens) const {
  // The token at position p reads p + 1 positions.
  const int64_t positions = tokens * depth + tokens * (tokens + 1) / 2;
  return static_cast<double>(linear_bytes + head_bytes) * static_cast<double>(tokens) +
         static_cast<double>(kv_bytes_per_position) * static_cast<double>(positions);
}

RandomModel MakeRandomModel(kernels::Backend& backend, const model::ModelConfig& config,
                            const quant::Recipe& recipe, DType head,
                            const model::Transformer::Limits& limits) {
  RandomModel made{.transformer = std::make_unique<model::Transformer>(backend, config, limits)};
  Rng rng(6);
  {
    const artifact::DenseMatrix table =
        RandomDense(rng, head, config.vocab_size, config.hidden_size);
    const std::vector<float> norm(static_cast<size_t>(config.hidden_size), 1.0f);
    made.transformer->SetEmbedding(table.view);
    made.transformer->SetHead(norm, table.view);
    made.cost.head_bytes = table.view.bytes();
  }
  const artifact::HostLayer layer = RandomLayer(config, recipe);
  Progress progress("packing", config.num_layers);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    made.transformer->AddLayer(layer);
    progress.Advance();
  }
  made.kv = layer.kv;
  for (const artifact::HostLinear& linear : layer.linears) {
    made.cost.linear_bytes += config.num_layers * WeightBytes(linear);
  }
  made.cost.shape = ShapeOf(config);
  made.cost.layers = config.num_layers;
  made.cost.linear_weights = model::LinearWeightCount(config);
  const kernels::KvShape kv{layer.kv, config.num_kv_heads, config.head_dim};
  made.cost.kv_bytes_per_position = config.num_layers * KvBytesPerPosition(kv);
  return made;
}

}  // namespace atom::bench
