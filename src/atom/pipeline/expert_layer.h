// The linears `down` of a mixture's experts, quantized expert by expert: each on the Hessian of the
// tokens that chose it. An expert that too few tokens chose takes the Hessian of all experts'
// inputs together, which the report says: channel by channel, where each expert has an order of its
// own.
#pragma once

#include "atom/pipeline/quantize_layer.h"

namespace atom::pipeline {

/// Experts whose Hessians are summed up in one pass over the stream: as many as `kExpertBytes`
/// hold.
int64_t ExpertsOfPass(int64_t width, int64_t experts);
inline constexpr int64_t kExpertBytes = int64_t{1} << 30;

/// Fewer tokens than inputs do not span them.
inline int64_t LeastExpertTokens(int64_t width) { return width; }

/// Quantizes experts.E.down of result.host on what `device`, the layer as far as it is quantized,
/// shows them in `part`. REQUIRES: a mixture; the recipe needs Hessians.
Status QuantizeExperts(const LayerContext& context, const model::DeviceLayer& device,
                       model::LayerPart part, LayerResult& result);

}  // namespace atom::pipeline
