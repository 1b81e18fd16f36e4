// Where the activations of a step leave the range of fp32. Finite weights may have activations that
// overflow; what comes of them (NaN logits, a NaN perplexity) names no cause, so the step is run
// once more, layer by layer, until the first layer that gives an infinity or a NaN.
//
// The residual stream only ever adds: a value that is not finite stays in its row to the last
// layer, whatever quantizers make of it in between. So one look at the last hidden states says
// whether all layers of a step were finite.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "atom/model/transformer.h"

namespace atom::model {

/// By row of `hidden` ([T][hidden] in fp32): is every value finite?
std::vector<bool> FiniteRows(kernels::Backend& backend, const kernels::DeviceTensor& hidden);

/// The same for the rows of `batch` alone, true at once when all are: the rest is padding.
bool AllFinite(kernels::Backend& backend, const kernels::DeviceTensor& hidden, int64_t rows);

/// A sequence of a batch as a batch of its own, no logits wanted.
kernels::Batch OneSequenceOf(const kernels::Batch& batch, int64_t sequence);

/// By row of `batch`: the first layer whose output is not finite, -1 for the embedding,
/// transformer.layers() where all are. Runs the step again, which writes the same keys and values
/// to the same pages. REQUIRES: no step since then wrote there; tokens are ids.
std::vector<int64_t> FirstOverflows(Transformer& transformer, const kernels::Batch& batch,
                                    KvCache& cache);

/// "layer 3: its output is not finite: …", of a number of FirstOverflows.
std::string OverflowSentence(int64_t layer, int64_t layers);

/// The sentence of the row that overflows first in such a step.
std::string ExplainOverflow(Transformer& transformer, const kernels::Batch& batch, KvCache& cache);

}  // namespace atom::model
