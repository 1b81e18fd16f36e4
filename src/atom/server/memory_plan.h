// How a memory budget is spent, computed from the headers of the model's files before any weight is
// read: weights, scratch of a step, and the rest as pages of KV with the exact pages that belong to
// them. On a device with memory of its own it is that memory, and what the device takes for itself
// counts too; else it is the machine's, where the program and the server's own needs do.
#pragma once

#include <cstdint>
#include <string>

#include "atom/core/result.h"
#include "atom/model/model_files.h"

namespace atom::server {

struct MemoryQuestion {
  int64_t budget = 0;   ///< bytes in all
  int64_t rows = 256;   ///< of a step
  int64_t context = 0;  ///< positions of a sequence; 0: the model's, or what there is room for
  int64_t max_sequences = 64;
  int64_t server_bytes = 0;  ///< for bodies of requests, grammars and their masks
};

struct MemoryPlan {
  int64_t weights = 0;     ///< bytes, packed
  int64_t scratch = 0;     ///< bytes: a step's tensors; on the machine, the program and serving
  bool on_device = false;  ///< that has memory of its own, and then
  int64_t reserve = 0;     ///< bytes that it takes for itself
  int64_t pinned = 0;      ///< bytes of the host, beside the plan
  int64_t page_bytes = 0;  ///< of a page in all layers
  int64_t page_positions = 0;
  int64_t pages = 0;
  int64_t exact_page_bytes = 0;  ///< likewise; 0 without an exact window
  int64_t exact_pages = 0;
  int64_t context = 0;

  int64_t kv_bytes() const { return pages * page_bytes + exact_pages * exact_page_bytes; }
  int64_t total() const { return weights + scratch + reserve + kv_bytes(); }
  /// "weights 3.6 GiB, scratch 0.2 GiB, KV 1.0 GiB: 1024 pages, 16384 positions", and
  /// ", 320 exact pages" with an exact window; on a device, its own part, the sum and pinned
  /// memory.
  std::string Description() const;
};

/// An Error if there is no room for one sequence of the context, or of 256 positions if none was
/// asked for, or if a device has less free than that. No more pages than max_sequences whole
/// contexts need.
Result<MemoryPlan> PlanMemory(const model::ModelFiles& files, const kernels::Backend& backend,
                              const MemoryQuestion& question);

}  // namespace atom::server
