// Decode steps of few different sizes, so that a graph of each comes again soon: rows of padding
// behind the batch's own, each with a sequence that looks at one position. They write no keys and
// values, and nobody looks at what they give.
#pragma once

#include <cstdint>

#include "atom/kernels/batch.h"
#include "atom/kernels/step_arena.h"

namespace atom::kernels::cuda {

/// 1, 2, 4, 8; multiples of 8 to 64, of 16 to 256, of 32 beyond.
constexpr int64_t RowBucketOf(int64_t rows) {
  if (rows <= 2) return rows;
  if (rows <= 4) return 4;
  const int64_t multiple = rows <= 64 ? 8 : rows <= 256 ? 16 : 32;
  return (rows + multiple - 1) / multiple * multiple;
}

/// Room for decode steps of as many rows, padded.
BatchLimits WithPadding(const BatchLimits& limits);

/// Sequences and rows of logits behind those of a step that decodes, up to their buckets; its rows
/// are StepArena's to pad. The first page of the first sequence, and its first exact one, are
/// theirs too.
void PadDecodeStep(Batch& batch);

}  // namespace atom::kernels::cuda
