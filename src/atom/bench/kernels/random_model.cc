#include "atom/bench/kernels/random_model.h"

#include <cmath>

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

}  // namespace

namespace {

/// The same weight once more.
decltype(artifact::HostLinear::weight) CopyOf(const artifact::HostLinear& linear) {
  if (!linear.packed()) return std::get<artifact::DenseMatrix>(linear.weight).Copy();
  return quant::QuantizedMatrix(std::get<artifact::PackedMatrix>(linear.weight).owned);
}

}  // namespace

artifact::HostLayer RandomLayer(const model::ModelSpec& spec, const quant::Recipe& recipe,
                                quant::ScaleFormat scales) {
  Rng rng(5);
  const artifact::LayerShape shape = model::ShapeOfLayer(spec, 0);
  artifact::HostLayer layer(shape);
  for (const artifact::NormShape& norm : shape.norms) {
    layer[norm.role].weight.assign(static_cast<size_t>(norm.width), 1.0f);
    if (norm.bias) layer[norm.role].bias.assign(static_cast<size_t>(norm.width), 0.0f);
  }
  const quant::WeightFormat format = quant::WeightFormatFor(recipe);
  for (const artifact::LinearShape& of : shape.linears) {
    artifact::HostLinear& linear = layer[of.name];
    if (of.name.expert > 0) {  // experts are alike: each is packed for itself
      linear.weight = CopyOf(layer[artifact::LinearName(of.name.role, 0)]);
    } else if (recipe.weight.bits == 16) {
      linear.weight = RandomDense(rng, DType::kBF16, of.n, of.k);
    } else {
      linear.weight = RandomMatrix(rng, format, of.n, of.k, scales);
    }
    if (of.bias) linear.bias.assign(static_cast<size_t>(of.n), 0.0f);
  }
  if (shape.router.experts > 0) {
    layer.router = RandomDense(rng, DType::kBF16, shape.router.experts, shape.router.width);
  }
  for (const artifact::SiteShape& site : shape.Sites()) {
    layer[site.name].format = quant::ActivationFormatFor(recipe, site.width, /*simulated=*/false);
    if (recipe.reorder) layer[site.name].permutation = RandomPermutation(rng, site.width);
  }
  layer.kv = quant::KvFormatFor(recipe, /*simulated=*/false);
  if (Unquantized(recipe)) layer.kv.storage = quant::KvStorage::kBF16;
  return layer;
}

double ModelCost::PrefillOperations(int64_t tokens) const {
  double weights = static_cast<double>(linear_weights);
  if (router.experts > 0) {
    weights += static_cast<double>(expert_weights * router.top_k / router.experts);
  }
  double operations = 2.0 * weights * static_cast<double>(tokens);
  for (const kernels::AttentionShape& layer : attention) {
    operations += AttentionOperations(layer, 0, tokens);
  }
  return operations;
}

double ModelCost::DecodeBytes(int64_t depth, int64_t tokens, int64_t sequences) const {
  int64_t positions = 0;  // of all layers
  for (const kernels::AttentionShape& layer : attention) {
    positions += VisiblePairs(layer, depth, tokens);
  }
  const double of_a_layer =
      static_cast<double>(kv_bytes_per_position) / static_cast<double>(attention.size());
  double bytes = static_cast<double>(linear_bytes + head_bytes);
  if (router.experts > 0) {
    const double idle =
        1.0 - static_cast<double>(router.top_k) / static_cast<double>(router.experts);
    const double chosen = 1.0 - std::pow(idle, static_cast<double>(sequences));
    bytes += static_cast<double>(expert_bytes) * chosen;
  }
  return bytes * static_cast<double>(tokens) +
         of_a_layer * static_cast<double>(positions * sequences);
}

TimedModel MakeRandomModel(kernels::Backend& backend, const model::ModelSpec& spec,
                           const quant::Recipe& recipe, DType head,
                           const model::Transformer::Limits& limits) {
  TimedModel made{.transformer = std::make_unique<model::Transformer>(backend, spec, limits)};
  Rng rng(6);
  {
    const artifact::DenseMatrix table = RandomDense(rng, head, spec.vocab_size, spec.hidden_size);
    const std::vector<float> norm(static_cast<size_t>(spec.hidden_size), 1.0f);
    const std::vector<float> bias(spec.head.norm.bias ? norm.size() : 0, 0.0f);
    if (spec.embedding.learned_positions) {
      const artifact::DenseMatrix positions =
          RandomDense(rng, head, spec.embedding.position_rows, spec.hidden_size);
      made.transformer->SetEmbedding(table.view, &positions.view);
    } else {
      made.transformer->SetEmbedding(table.view);
    }
    made.transformer->SetHead(norm, bias, table.view);
    made.cost.head_bytes = table.view.bytes();
  }
  const bool two_level = backend.HasKernels(quant::Feature::kTwoLevelScales);
  const artifact::HostLayer layer =
      RandomLayer(spec, recipe, two_level ? recipe.weight.scales : quant::ScaleFormat::kFp16);
  Progress progress("packing", spec.num_layers());
  for (int64_t i = 0; i < spec.num_layers(); ++i) {
    if (i == 0) {
      made.transformer->AddLayer(layer);
    } else {
      made.transformer->AddSameLayer(layer);
    }
    progress.Advance();
  }
  made.kv = backend.Runnable(layer.kv);
  ModelCost& cost = made.cost;
  for (const artifact::HostLinear& linear : layer.linears) {
    const bool of_expert = linear.name.expert != artifact::kNoExpert;
    (of_expert ? cost.expert_bytes : cost.linear_bytes) += spec.num_layers() * WeightBytes(linear);
    (of_expert ? cost.expert_weights : cost.linear_weights) +=
        spec.num_layers() * linear.n() * linear.k();
  }
  if (spec.layer(0).ffn.moe) cost.router = spec.layer(0).ffn.moe->Router();
  SetAttentionCost(spec, made);
  return made;
}

void SetAttentionCost(const model::ModelSpec& spec, TimedModel& made) {
  for (const model::LayerSpec& of : spec.layers) {
    made.cost.attention.push_back(of.attention.Shape());
  }
  const model::AttentionSpec& first = spec.layer(0).attention;
  const kernels::KvShape kv{made.kv, first.kv_heads, first.head_dim};
  made.cost.kv_bytes_per_position = spec.num_layers() * KvBytesPerPosition(kv);
}

}  // namespace atom::bench
