// Steps that decode: one row of each sequence. They come again and again, so that a backend may
// want few different numbers of rows (Backend::RowBucket); the rows of other steps are as they are.
#pragma once

#include "atom/kernels/backend.h"
#include "atom/kernels/batch.h"

namespace atom::kernels {

inline bool Decodes(const Batch& batch) {
  if (batch.rows() != batch.sequences()) return false;
  for (int64_t s = 0; s < batch.sequences(); ++s) {
    if (batch.query_starts[static_cast<size_t>(s)] != s) return false;
  }
  return true;
}

}  // namespace atom::kernels
