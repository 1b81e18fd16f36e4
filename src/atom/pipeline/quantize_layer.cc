#include "atom/pipeline/quantize_layer.h"

#include <algorithm>
#include <optional>

#include "atom/pipeline/clip_search.h"
#include "atom/pipeline/expert_layer.h"
#include "atom/pipeline/kv_calibration.h"
#include "atom/pipeline/sequential_layer.h"
#include "atom/pipeline/site_observers.h"
#include "atom/quant/hadamard.h"
#include "atom/quant/quantize_weight.h"

namespace atom::pipeline {

using artifact::HostLayer;

namespace {

/// Null: the identity.
const quant::Permutation* Find(const LayerPermutations& permutations,
                               const std::optional<artifact::SiteName>& site) {
  if (!site) return nullptr;
  const auto found = permutations.find(*site);
  return found == permutations.end() || found->second.empty() ? nullptr : &found->second;
}

constexpr int64_t kRowsOfTask = 16;

/// One row of a weight in fp32.
void ReadRow(const artifact::HostLinear& linear, int64_t row, std::span<float> to) {
  if (linear.packed()) {
    std::get<artifact::PackedMatrix>(linear.weight).view.DequantizeRow(row, to);
  } else {
    ReadFloats(std::get<artifact::DenseMatrix>(linear.weight).view, row * linear.k(), to);
  }
}

/// Calls task(row) for all rows, some at a time on each thread.
template <class Task>
void ForRows(ThreadPool& pool, int64_t rows, const Task& task) {
  pool.ParallelFor((rows + kRowsOfTask - 1) / kRowsOfTask, [&](int64_t part, int /*worker*/) {
    const int64_t first = part * kRowsOfTask;
    for (int64_t row = first; row < std::min(first + kRowsOfTask, rows); ++row) task(row);
  });
}

artifact::HostLinear PermuteLinear(const artifact::HostLinear& linear,
                                   const LayerPermutations& permutations, ThreadPool& pool) {
  const int64_t n = linear.n();
  const int64_t k = linear.k();
  const quant::Permutation* columns = Find(permutations, artifact::InputSite(linear.name));
  // f(gate)·up comes out in down's order when the rows of gate and up stand in it.
  const quant::Permutation* rows = Find(permutations, artifact::OutputSite(linear.name));
  artifact::DenseMatrix weight;
  weight.owned = Buffer(static_cast<size_t>(n * k) * sizeof(float));
  weight.view = TensorView{DType::kF32, {n, k}, weight.owned.data()};
  const std::span<float> values = weight.owned.As<float>();
  ForRows(pool, n, [&](int64_t row) {
    const auto to = values.subspan(static_cast<size_t>(row * k), static_cast<size_t>(k));
    const int64_t from = rows == nullptr ? row : rows->source()[static_cast<size_t>(row)];
    if (columns == nullptr) return ReadRow(linear, from, to);
    std::vector<float> whole(to.size());
    ReadRow(linear, from, whole);
    columns->Gather(whole, to);
  });
  std::vector<float> bias = linear.bias;
  if (rows != nullptr && !bias.empty()) rows->PermuteRows(bias, 1);
  return {.name = linear.name, .weight = std::move(weight), .bias = std::move(bias)};
}

/// The order of each site as the recipe deals it over the groups.
LayerPermutations Deal(const quant::Recipe& recipe, const LayerPermutations& order) {
  if (recipe.deal == quant::Deal::kSorted) return order;
  LayerPermutations dealt;
  for (const auto& [site, permutation] : order) {
    const quant::ColumnSplit split = quant::SplitColumns(recipe, permutation.size());
    dealt[site] = quant::DealZigzag(permutation, split.low_bit, split.group);
  }
  return dealt;
}

/// Rotates the columns of a permuted layer's weights, and its sites, as the recipe says.
void Rotate(const quant::Recipe& recipe, HostLayer& layer, ThreadPool& pool) {
  for (artifact::HostLinear& linear : layer.linears) {
    const int64_t n = linear.n();
    const int64_t k = linear.k();
    const quant::ActivationFormat format = quant::ActivationFormatFor(recipe, k, true);
    if (format.hadamard == 0) continue;
    const std::span<float> values =
        std::get<artifact::DenseMatrix>(linear.weight).owned.As<float>();
    ForRows(pool, n, [&](int64_t row) {
      quant::RotateColumns(format.hadamard, k - format.outlier_columns, 1,
                           values.subspan(static_cast<size_t>(row * k), static_cast<size_t>(k)));
    });
    quant::ActivationFormat& input = layer[artifact::InputSite(linear.name)].format;
    input.hadamard = format.hadamard;
    input.outlier_columns = format.outlier_columns;
  }
}

quant::WeightFormat FormatOf(const quant::Recipe& recipe, float clip) {
  quant::WeightFormat format = quant::WeightFormatFor(recipe);
  format.clip = clip;
  return format;
}

}  // namespace

bool NeedsHessian(const quant::Recipe& recipe) {
  return recipe.weight.bits < 16 && (recipe.weight.gptq || recipe.weight.clip.search);
}

bool IsSequential(const quant::Recipe& recipe) {
  return recipe.weight.bits < 16 && recipe.weight.sequential;
}

HostLayer PermuteLayer(const HostLayer& source, const LayerPermutations& permutations,
                       ThreadPool& pool) {
  HostLayer layer;
  layer.norms = source.norms;
  if (source.router) layer.router = source.router->Copy();
  for (const artifact::HostLinear& linear : source.linears) {
    layer.linears.push_back(PermuteLinear(linear, permutations, pool));
  }
  for (const artifact::HostSite& site : source.sites) {
    const quant::Permutation* permutation = Find(permutations, site.name);
    layer.sites.push_back(
        {.name = site.name,
         .permutation = permutation == nullptr ? quant::Permutation() : *permutation,
         .format = {}});
  }
  return layer;
}

void SetFormats(const quant::Recipe& recipe, const artifact::LayerClips& clips, bool simulated,
                HostLayer& layer) {
  for (const artifact::HostLinear& linear : layer.linears) {
    artifact::HostSite& site = layer[artifact::InputSite(linear.name)];
    site.format = quant::ActivationFormatFor(recipe, linear.k(), simulated);
    site.format.clip = clips.activation.at(site.name);
  }
  std::vector<float> key_mean = std::move(layer.kv.key_mean);
  layer.kv = quant::KvFormatFor(recipe, simulated);
  layer.kv.clip = clips.kv;
  layer.kv.head_clips = clips.kv_heads;
  layer.kv.key_mean = std::move(key_mean);
}

HostLayer PrepareLayer(const quant::Recipe& recipe, const HostLayer& source,
                       const LayerPermutations& permutations, ThreadPool& pool) {
  HostLayer layer = PermuteLayer(source, Deal(recipe, permutations), pool);
  Rotate(recipe, layer, pool);
  return layer;
}

std::vector<artifact::HostLinear> DenseLinears(const HostLayer& layer, artifact::SiteRole site,
                                               ThreadPool& pool) {
  std::vector<artifact::HostLinear> linears;
  for (const artifact::HostLinear& linear : layer.linears) {
    if (artifact::InputSite(linear.name).role != site) continue;
    linears.push_back(PermuteLinear(linear, {}, pool));
  }
  return linears;
}

HostLayer SimulatedLayer(const quant::Recipe& recipe, const artifact::LayerClips& clips,
                         const HostLayer& layer, ThreadPool& pool) {
  HostLayer copy = PermuteLayer(layer, {}, pool);  // a copy in fp32
  for (const artifact::HostSite& site : layer.sites) copy[site.name] = site;
  copy.kv = layer.kv;
  SetFormats(recipe, clips, /*simulated=*/true, copy);
  return copy;
}

Status QuantizeLinear(const LayerContext& context, const LinearCalibration& calibration,
                      std::span<const float> values, artifact::HostLinear& linear,
                      LayerResult& result) {
  const quant::Recipe& recipe = context.recipe;
  float& clip = result.clips.weight.at(linear.name);
  const int64_t n = linear.n();
  const int64_t k = linear.k();
  if (recipe.weight.clip.search && !recipe.weight.clip_per_group) {
    clip = SearchWeightClip(context, values, n, k, calibration.hessian);
  }
  Result<quant::QuantizedWeight> quantized =
      quant::QuantizeWeight(values, n, k, FormatOf(recipe, clip), calibration.hessian,
                            context.algebra, calibration.factor);
  if (!quantized.ok()) {
    return MakeError("{}: {}", ModulePath(linear.name), quantized.error().message);
  }
  result.damping = std::max(result.damping, quantized->damping);
  if (quantized->gptq) {
    result.gptq[linear.name] = *quantized->gptq;
    result.linear_error[linear.name] = quantized->gptq->kept();
  } else if (!calibration.hessian.empty()) {
    result.linear_error[linear.name] = quant::MeasureOutputError(
        values, quantized->dense, n, k, calibration.hessian, context.algebra);
  }
  if (context.simulated || !quant::HasKernels(recipe)) {
    linear.weight = artifact::DenseMatrix::FromHalves(quantized->dense, n, k);
  } else {
    linear.weight = std::move(*quantized->packed);
  }
  return {};
}

namespace {

/// All linears at once, on Hessians of the layer's inputs with its own weights still whole.
Status QuantizeAtOnce(const LayerContext& context, LayerResult& result, Progress* progress) {
  std::optional<HessianObserver> hessians;
  std::optional<model::DeviceLayer> device;
  if (NeedsHessian(context.recipe)) {
    hessians.emplace(context.transformer.backend(), context.algebra, context.recipe, context.shape,
                     context.stream.samples());
    device.emplace(context.transformer.backend(), context.spec, result.host);
    context.stream.RunLayer(*device, context.stream.samples(), CalibrationStream::Keep::kInput,
                            &*hessians, nullptr, progress);
    hessians->Finish();
    for (const artifact::SiteShape& site : context.shape.Sites()) {
      if (site.name.expert != artifact::kNoExpert) continue;
      result.sites[site.name] = hessians->Of(site.name).statistics();
    }
  }
  for (artifact::HostLinear& linear : result.host.linears) {
    const bool of_expert = artifact::InputSite(linear.name).expert != artifact::kNoExpert;
    if (hessians && of_expert) continue;
    const LinearCalibration calibration{
        .hessian = hessians ? hessians->Of(artifact::InputSite(linear.name)).hessian()
                            : std::span<const float>()};
    const std::vector<float> values = linear.ToFloats();
    const Status status = QuantizeLinear(context, calibration, values, linear, result);
    if (!status.ok()) return status;
  }
  if (!hessians || !context.spec.ffn.moe) return {};
  hessians.reset();
  return QuantizeExperts(context, *device, model::LayerPart::kBoth, result);
}

}  // namespace

Result<LayerResult> QuantizeLayer(const LayerContext& context, const HostLayer& source,
                                  const LayerPermutations& permutations, Progress* progress) {
  const quant::Recipe& recipe = context.recipe;
  LayerResult result;
  result.clips = artifact::LayerClips(context.shape, recipe.weight.clip.ratio,
                                      recipe.activation.clip.ratio, recipe.kv.clip.ratio);
  HostLayer& layer = result.host;
  layer = PrepareLayer(recipe, source, permutations, context.algebra.pool());
  SearchActivationClips(context, layer, result.clips);
  KvCalibration kv = CalibrateKv(context, source, layer);
  layer.kv.key_mean = std::move(kv.key_mean);
  result.clips.kv_heads = std::move(kv.head_clips);
  SearchKvClip(context, layer, result.clips);

  SetFormats(recipe, result.clips, /*simulated=*/true, layer);
  if (recipe.weight.bits < 16) {
    const Status status =
        IsSequential(recipe)
            ? QuantizeInOrder(context,
                              PrepareLayer(recipe, source, permutations, context.algebra.pool()),
                              result, progress)
            : QuantizeAtOnce(context, result, progress);
    if (!status.ok()) return status.error();
  }
  SetFormats(recipe, result.clips, context.simulated || !quant::HasKernels(recipe), layer);
  return result;
}

}  // namespace atom::pipeline
