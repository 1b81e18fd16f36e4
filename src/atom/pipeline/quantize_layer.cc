#include "atom/pipeline/quantize_layer.h"

#include <algorithm>
#include <optional>

#include "atom/pipeline/clip_search.h"
#include "atom/pipeline/edge_observers.h"
#include "atom/quant/quantize_weight.h"

namespace atom::pipeline {

using artifact::EdgeId;
using artifact::HostLayer;
using artifact::LinearId;

namespace {

artifact::HostLinear PermuteLinear(const HostLayer& source, LinearId id,
                                   const LayerPermutations& permutations) {
  const artifact::HostLinear& linear = source[id];
  const int64_t n = linear.n();
  const int64_t k = linear.k();
  std::vector<float> values = linear.ToFloats();
  std::vector<float> bias = linear.bias;
  const auto input = static_cast<size_t>(artifact::InputEdge(id));
  if (!permutations[input].empty()) permutations[input].PermuteColumns(values, n);
  // silu(gate)·up comes out in down's order when the rows of gate and up stand in it.
  const quant::Permutation& down = permutations[static_cast<size_t>(EdgeId::kDown)];
  if ((id == LinearId::kGate || id == LinearId::kUp) && !down.empty()) {
    down.PermuteRows(values, k);
    if (!bias.empty()) down.PermuteRows(bias, 1);
  }
  return {.weight = artifact::DenseMatrix::FromFloats(values, n, k), .bias = std::move(bias)};
}

quant::WeightFormat FormatOf(const quant::Recipe& recipe, float clip) {
  quant::WeightFormat format = quant::WeightFormatFor(recipe);
  format.clip = clip;
  return format;
}

artifact::LayerClips FixedClips(const quant::Recipe& recipe) {
  artifact::LayerClips clips;
  clips.activation.fill(recipe.activation.clip.ratio);
  clips.weight.fill(recipe.weight.clip.ratio);
  clips.kv = recipe.kv.clip.ratio;
  return clips;
}

}  // namespace

bool NeedsHessian(const quant::Recipe& recipe) {
  return recipe.weight.bits < 16 && (recipe.weight.gptq || recipe.weight.clip.search);
}

HostLayer PermuteLayer(const HostLayer& source, const LayerPermutations& permutations) {
  HostLayer layer;
  layer.input_norm = source.input_norm;
  layer.post_norm = source.post_norm;
  for (const LinearId id : artifact::kLinears) {
    layer[id] = PermuteLinear(source, id, permutations);
  }
  for (const EdgeId edge : artifact::kEdges) {
    layer[edge].permutation = permutations[static_cast<size_t>(edge)];
  }
  return layer;
}

void SetFormats(const quant::Recipe& recipe, const artifact::LayerClips& clips, bool simulated,
                HostLayer& layer) {
  for (const LinearId id : artifact::kLinears) {
    const EdgeId edge = artifact::InputEdge(id);
    layer[edge].format = quant::ActivationFormatFor(recipe, layer[id].k(), simulated);
    layer[edge].format.clip = clips.activation[static_cast<size_t>(edge)];
  }
  layer.kv = quant::KvFormatFor(recipe, simulated);
  layer.kv.clip = clips.kv;
}

Result<LayerResult> QuantizeLayer(const LayerContext& context, const HostLayer& source,
                                  const LayerPermutations& permutations, Progress* progress) {
  const quant::Recipe& recipe = context.recipe;
  kernels::Backend& backend = context.transformer.backend();
  LayerResult result;
  result.linear_error.fill(-1.0);
  result.clips = FixedClips(recipe);
  HostLayer& layer = result.host;
  layer = PermuteLayer(source, permutations);
  SearchActivationClips(context, layer, result.clips);
  SearchKvClip(context, layer, result.clips);

  // The Hessians come from the quantized, permuted inputs, the layer's own weights still whole.
  SetFormats(recipe, result.clips, /*simulated=*/true, layer);
  std::optional<GramObserver> grams;
  if (NeedsHessian(recipe)) {
    artifact::LayerShape shape;
    for (const LinearId id : artifact::kLinears) {
      shape.linears[static_cast<size_t>(id)] = {.n = layer[id].n(), .k = layer[id].k()};
    }
    grams.emplace(backend, context.algebra, shape, context.stream.samples());
    const model::DeviceLayer device(backend, layer);
    context.stream.RunLayer(device, context.stream.samples(), CalibrationStream::Keep::kInput,
                            &*grams, nullptr, progress);
  }

  const bool simulated = context.simulated || !quant::HasKernels(recipe);
  for (const LinearId id : artifact::kLinears) {
    if (recipe.weight.bits == 16) break;
    const auto index = static_cast<size_t>(id);
    artifact::HostLinear& linear = layer[id];
    const int64_t n = linear.n();
    const int64_t k = linear.k();
    const std::vector<float> values = linear.ToFloats();
    const std::span<const float> gram =
        grams ? grams->Gram(artifact::InputEdge(id)) : std::span<const float>();
    if (recipe.weight.clip.search) {
      result.clips.weight[index] = SearchWeightClip(context, values, n, k, gram);
    }
    Result<quant::QuantizedWeight> quantized = quant::QuantizeWeight(
        values, n, k, FormatOf(recipe, result.clips.weight[index]), gram, context.algebra);
    if (!quantized.ok()) return MakeError("{}: {}", Name(id), quantized.error().message);
    result.damping = std::max(result.damping, quantized->damping);
    if (grams) {
      result.linear_error[index] =
          quant::MeasureOutputError(values, quantized->dense, n, k, gram, context.algebra)
              .relative();
    }
    if (simulated) {
      linear.weight = artifact::DenseMatrix::FromHalves(quantized->dense, n, k);
    } else {
      linear.weight = std::move(*quantized->packed);
    }
  }
  SetFormats(recipe, result.clips, simulated, layer);
  return result;
}

}  // namespace atom::pipeline
