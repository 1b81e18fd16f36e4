#include "atom/model/weights.h"

#include "atom/artifact/layer_tensors.h"

namespace atom::model {
namespace {

using artifact::LinearRole;
using artifact::NormRole;

artifact::NormShape ShapeOf(NormRole role, const NormSpec& norm, int64_t width) {
  return {.role = role,
          .width = width,
          .bias = norm.bias,
          .weight_offset = static_cast<float>(norm.weight_offset)};
}

}  // namespace

artifact::LayerShape ShapeOfLayer(const ModelSpec& spec, int64_t index) {
  const LayerSpec& layer = spec.layer(index);
  const AttentionSpec& attention = layer.attention;
  const FfnSpec& ffn = layer.ffn;
  const int64_t hidden = spec.hidden_size;
  artifact::LayerShape shape;
  shape.kv_heads = attention.kv_heads;
  shape.head_dim = attention.head_dim;
  const auto add_norm = [&shape](NormRole role, const std::optional<NormSpec>& norm,
                                 int64_t width) {
    if (norm) shape.norms.push_back(ShapeOf(role, *norm, width));
  };
  add_norm(NormRole::kInput, layer.input_norm, hidden);
  add_norm(NormRole::kPostAttention, layer.post_attention_norm, hidden);
  add_norm(NormRole::kFfn, layer.ffn_norm, hidden);
  add_norm(NormRole::kPostFfn, layer.post_ffn_norm, hidden);
  add_norm(NormRole::kQ, attention.q_norm, attention.head_dim);
  add_norm(NormRole::kK, attention.k_norm, attention.head_dim);
  const auto add = [&shape](artifact::LinearName name, int64_t n, int64_t k, bool bias) {
    shape.linears.push_back({.name = name, .n = n, .k = k, .bias = bias});
  };
  add(LinearRole::kQ, attention.q_width(), hidden, attention.qkv_bias);
  add(LinearRole::kK, attention.kv_width(), hidden, attention.qkv_bias);
  add(LinearRole::kV, attention.kv_width(), hidden, attention.qkv_bias);
  add(LinearRole::kO, hidden, attention.q_width(), attention.o_bias);
  const auto add_ffn = [&](int32_t expert) {
    if (ffn.gated) add({LinearRole::kGate, expert}, ffn.inner, hidden, ffn.bias);
    add({LinearRole::kUp, expert}, ffn.inner, hidden, ffn.bias);
    add({LinearRole::kDown, expert}, hidden, ffn.inner, ffn.bias);
  };
  if (!ffn.moe) {
    add_ffn(artifact::kNoExpert);
    return shape;
  }
  shape.router = {.experts = ffn.moe->experts, .width = hidden};
  for (int64_t e = 0; e < ffn.moe->experts; ++e) add_ffn(static_cast<int32_t>(e));
  return shape;
}

std::vector<artifact::OuterTensor> OuterTensors(const ModelSpec& spec) {
  std::vector<artifact::OuterTensor> tensors;
  const auto add = [&tensors](std::string_view name, Shape shape) {
    tensors.push_back({std::string(name), std::move(shape)});
  };
  const int64_t narrow = spec.embedding.projected_from;
  const Shape table = {spec.vocab_size, narrow > 0 ? narrow : spec.hidden_size};
  add(artifact::kEmbeddingName, table);
  if (narrow > 0) {
    add(artifact::kProjectInName, {spec.hidden_size, narrow});
    add(artifact::kProjectOutName, {narrow, spec.hidden_size});
  }
  if (spec.embedding.learned_positions) {
    add(artifact::kPositionsName, {spec.embedding.position_rows, spec.hidden_size});
  }
  if (spec.head.normalizes) add(artifact::kFinalNormName, {spec.hidden_size});
  if (spec.head.normalizes && spec.head.norm.bias)
    add(artifact::kFinalNormBiasName, {spec.hidden_size});
  if (!spec.head.tied) add(artifact::kHeadName, table);
  return tensors;
}

int64_t LinearWeightCount(const ModelSpec& spec) {
  int64_t count = 0;
  for (int64_t i = 0; i < spec.num_layers(); ++i) {
    for (const artifact::LinearShape& linear : ShapeOfLayer(spec, i).linears) {
      count += linear.n * linear.k;
    }
  }
  return count;
}

}  // namespace atom::model
