#include "atom/model/weights.h"

namespace atom::model {

artifact::LayerShape ShapeOfLayer(const ModelConfig& config) {
  using artifact::LinearId;
  artifact::LayerShape shape;
  shape.hidden = config.hidden_size;
  const int64_t hidden = config.hidden_size;
  const int64_t inner = config.intermediate_size;
  const int64_t q_rows = config.num_heads * config.head_dim;
  const int64_t kv_rows = config.num_kv_heads * config.head_dim;
  const auto set = [&shape](LinearId id, int64_t n, int64_t k, bool bias) {
    shape.linears[static_cast<size_t>(id)] = {.n = n, .k = k, .bias = bias};
  };
  set(LinearId::kQ, q_rows, hidden, config.attention_bias);
  set(LinearId::kK, kv_rows, hidden, config.attention_bias);
  set(LinearId::kV, kv_rows, hidden, config.attention_bias);
  set(LinearId::kO, hidden, q_rows, config.attention_bias);
  set(LinearId::kGate, inner, hidden, config.mlp_bias);
  set(LinearId::kUp, inner, hidden, config.mlp_bias);
  set(LinearId::kDown, hidden, inner, config.mlp_bias);
  return shape;
}

int64_t LinearWeightCount(const ModelConfig& config) {
  const artifact::LayerShape shape = ShapeOfLayer(config);
  int64_t count = 0;
  for (const artifact::LinearShape& linear : shape.linears) count += linear.n * linear.k;
  return count * config.num_layers;
}

}  // namespace atom::model
