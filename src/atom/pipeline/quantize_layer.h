// One layer, from checkpoint weights to quantized ones: permute, accumulate Hessians over the
// quantized stream, search clips, quantize each linear.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "atom/artifact/quantization_config.h"
#include "atom/pipeline/calibration_stream.h"
#include "atom/pipeline/plan_reorder.h"
#include "atom/pipeline/site_hessian.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/quantize_weight.h"
#include "atom/quant/recipe.h"

namespace atom::pipeline {

/// What a layer's quantization needs besides its weights; all outlive the call.
struct LayerContext {
  const quant::Recipe& recipe;
  const model::LayerSpec& spec;
  const artifact::LayerShape& shape;
  bool simulated = false;  ///< dense fake-quantized weights, though kernels may exist
  quant::DenseAlgebra& algebra;
  model::Transformer& transformer;
  CalibrationStream& stream;  ///< holds the layer's input
  /// The stream of the unquantized model, for the input correction; else null.
  CalibrationStream* unquantized = nullptr;
};

struct LayerResult {
  artifact::HostLayer host;
  artifact::LayerClips clips;
  /// Of each linear's output on the calibration tokens; no entry where it was not measured
  /// (rounding needs no Hessian).
  std::map<artifact::LinearName, quant::OutputError> linear_error;
  std::map<artifact::LinearName, quant::GptqComparison> gptq;
  std::map<artifact::SiteName, SiteStatistics> sites;
  double damping = 0.0;  ///< the largest that GPTQ needed
  /// Of a mixture whose Hessians were summed up (expert_layer.h): calibration tokens that chose
  /// each expert, and the experts that took the Hessian of all for want of their own.
  std::vector<int64_t> expert_tokens;
  std::vector<int32_t> shared_hessian;
};

/// With recipe.weight.sequential the streams then hold the input of the layer's FFN in place of the
/// layer's (sequential_layer.h).
Result<LayerResult> QuantizeLayer(const LayerContext& context, const artifact::HostLayer& source,
                                  const LayerPermutations& permutations, Progress* progress);

/// What of its site's calibration a linear is quantized with.
struct LinearCalibration {
  std::span<const float> hessian;               ///< empty for plain rounding
  const quant::DampedFactor* factor = nullptr;  ///< of the Hessian, if there is one already
};
/// Quantizes one linear of result.host, the values of whose weight are `values`.
Status QuantizeLinear(const LayerContext& context, const LinearCalibration& calibration,
                      std::span<const float> values, artifact::HostLinear& linear,
                      LayerResult& result);

/// The layer as it is quantized: what is done to its channels offline, in fp32, nothing rounded.
artifact::HostLayer PrepareLayer(const quant::Recipe& recipe, const artifact::HostLayer& source,
                                 const LayerPermutations& permutations, ThreadPool& pool);

/// A copy that computes in fp32 what `layer` stands for, activations and KV fake-quantized.
artifact::HostLayer SimulatedLayer(const quant::Recipe& recipe, const artifact::LayerClips& clips,
                                   const artifact::HostLayer& layer, ThreadPool& pool);

/// Copies in fp32 of a site's linears, in their order.
std::vector<artifact::HostLinear> DenseLinears(const artifact::HostLayer& layer,
                                               artifact::SiteRole site, ThreadPool& pool);

/// The layer with its channels permuted, in fp32, quantized nowhere.
artifact::HostLayer PermuteLayer(const artifact::HostLayer& source,
                                 const LayerPermutations& permutations, ThreadPool& pool);

/// Sets the formats of sites and KV that the recipe with these clips asks for.
void SetFormats(const quant::Recipe& recipe, const artifact::LayerClips& clips, bool simulated,
                artifact::HostLayer& layer);

/// True when the linears are quantized one site after the other (sequential_layer.h).
bool IsSequential(const quant::Recipe& recipe);

/// True when quantizing needs passes over the calibration tokens (GPTQ, or a clip search).
bool NeedsHessian(const quant::Recipe& recipe);

}  // namespace atom::pipeline
