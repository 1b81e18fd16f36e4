// One layer quantized in true order: each site's linears see what the quantized linears before them
// give, inside the layer too.
//
//                 stream: the layer's input             stream: the FFN's input
//   ──────────────┬──────────────────────┬──────────────┬──────────────────────┬─────────>
//                 site qkv: q, k, v      site o: o      site gate_up           site down
//
// At each site the stream runs as far as it, the Hessian is summed up, the linears are quantized.
// Once o is done, the stream moves to the residual stream between attention and FFN, so that
// attention is computed for one site only. With an input correction, the stream of the unquantized
// model runs beside it and moves as soon as nothing more is read before it.
#pragma once

#include "atom/pipeline/quantize_layer.h"

namespace atom::pipeline {

/// Quantizes the linears of result.host, whose formats are set, simulated. `exact` is the same
/// layer unquantized. Afterwards context.stream holds the FFN's input, and context.unquantized,
/// where there is one, the next layer's.
Status QuantizeInOrder(const LayerContext& context, const artifact::HostLayer& exact,
                       LayerResult& result, Progress* progress);

/// Passes over the stream's samples that this takes.
inline constexpr int64_t kSequentialPasses = 5;

/// Moves a stream through a layer as quantizing in order does: the hidden states between attention
/// and FFN are kept in fp16.
void RunInHalves(CalibrationStream& stream, const model::DeviceLayer& layer, Progress* progress);

}  // namespace atom::pipeline
