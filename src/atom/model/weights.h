// The shape table: what tensors a model of a given spec must hold, and their shapes.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/artifact/model_files.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

artifact::LayerShape ShapeOfLayer(const ModelSpec& spec, int64_t layer);

/// What lies outside of the layers.
std::vector<artifact::OuterTensor> OuterTensors(const ModelSpec& spec);

/// Weights in the linears of all layers.
int64_t LinearWeightCount(const ModelSpec& spec);

}  // namespace atom::model
