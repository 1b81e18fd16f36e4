// One layer, from checkpoint weights to quantized ones: permute, accumulate Hessians over the
// quantized stream, search clips, quantize each linear.
#pragma once

#include <cstdint>
#include <map>

#include "atom/artifact/quantization_config.h"
#include "atom/pipeline/calibration_stream.h"
#include "atom/pipeline/plan_reorder.h"
#include "atom/quant/dense_algebra.h"
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
};

struct LayerResult {
  artifact::HostLayer host;
  artifact::LayerClips clips;
  /// Relative squared error of each linear's output on the calibration tokens; negative where it
  /// was not measured (rounding needs no Hessian).
  std::map<artifact::LinearName, double> linear_error;
  double damping = 0.0;  ///< the largest that GPTQ needed
};

Result<LayerResult> QuantizeLayer(const LayerContext& context, const artifact::HostLayer& source,
                                  const LayerPermutations& permutations, Progress* progress);

/// The layer with its channels permuted, in fp32, quantized nowhere.
artifact::HostLayer PermuteLayer(const artifact::HostLayer& source,
                                 const LayerPermutations& permutations);

/// Sets the formats of sites and KV that the recipe with these clips asks for.
void SetFormats(const quant::Recipe& recipe, const artifact::LayerClips& clips, bool simulated,
                artifact::HostLayer& layer);

/// True when quantizing needs passes over the calibration tokens (GPTQ, or a clip search).
bool NeedsHessian(const quant::Recipe& recipe);

}  // namespace atom::pipeline
