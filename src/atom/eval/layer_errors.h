// Where a model leaves the baseline's path: layer by layer over one window, the relative error of
// the residual stream and of what the linears read.
//
//   error = √(mean over tokens of ‖x̂ − x‖² / ‖x‖²)
//
// a token's own norm below it, because the first token's stream is hundreds of times the others'.
// Inputs are compared in the order and basis of the unquantized model, after quantization. Layers
// are read one at a time: two are in memory.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "atom/core/progress.h"
#include "atom/core/result.h"
#include "atom/model/model_files.h"

namespace atom::eval {

struct LayerError {
  double after_attention = 0.0;  ///< the residual stream
  double after_ffn = 0.0;
  std::vector<std::pair<std::string, double>> sites;  ///< inputs, in the order they are read
};

/// Of rows of `width` values; rows that are zero in `baseline` do not count.
double RelativeError(std::span<const float> baseline, std::span<const float> values, int64_t width);

/// [model behind the baseline][layer]. Packed layers run fake-quantized. Errors: models of other
/// shapes; what reading a layer refuses.
Result<std::vector<std::vector<LayerError>>> MeasureLayerErrors(
    std::span<const model::ModelFiles* const> models, const model::LoadOptions& options,
    kernels::Backend& backend, const std::vector<int32_t>& window, Progress* progress);

}  // namespace atom::eval
