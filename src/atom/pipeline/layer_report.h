// The report of a quantized layer as JSON, kept beside it so that a resumed run writes the same
// report, and the sizes that it adds up.
#pragma once

#include <map>
#include <string>

#include "atom/core/result.h"
#include "atom/pipeline/quantize_layer.h"
#include "atom/pipeline/quantize_model.h"

namespace atom::pipeline {

std::string DumpLayerReport(const LayerReport& report);
Result<LayerReport> ParseLayerReport(const std::string& json);

/// All of a layer's report but the error that Propagate measures.
LayerReport ReportOf(const quant::Recipe& recipe, const artifact::LayerShape& shape,
                     const LayerResult& result);

/// Bits of codes and scales per weight of the layer's linears: what packed storage takes, or would
/// take where the layer is simulated.
double LayerBitsPerWeight(const quant::Recipe& recipe, const artifact::HostLayer& layer);

/// How wide each site's rotated blocks are: 0 where its groups are no power of two and it is not
/// rotated; nothing where the recipe asks for no rotation.
std::map<artifact::SiteName, int64_t> HadamardWidths(const quant::Recipe& recipe,
                                                     const artifact::LayerShape& shape);

/// Fills in the totals from the layers.
void FinishReport(const model::ModelFiles& files, QuantizeReport& report);

}  // namespace atom::pipeline
