// What a model takes of a memory budget when it serves: weights, the tensors of a step, and the
// rest as pages of KV.
#pragma once

#include <cstdint>
#include <string>

#include "atom/bench/kernels/random_model.h"

namespace atom::bench {

struct ServingMemory {
  int64_t weights = 0;     ///< bytes: linears as they are stored, embedding, lm_head
  int64_t scratch = 0;     ///< bytes of a step's tensors
  int64_t page_bytes = 0;  ///< of a KV page in all layers

  /// Pages that fit `budget` bytes; 0 if not even the rest does.
  int64_t PagesWithin(int64_t budget) const;
  int64_t Total(int64_t pages) const { return weights + scratch + pages * page_bytes; }
};
ServingMemory MemoryOf(const RandomModel& model);

/// "2.50 GiB".
std::string GibText(int64_t bytes);

}  // namespace atom::bench
