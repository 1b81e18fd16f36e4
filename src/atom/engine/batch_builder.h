// The chunks of a step as a kernels::Batch, in their order.
#pragma once

#include <vector>

#include "atom/engine/scheduler.h"
#include "atom/kernels/batch.h"

namespace atom::engine {

/// What one of the batch's logit_rows is for.
struct WantedLogits {
  Sequence* sequence = nullptr;
  int64_t position = 0;  ///< of the token whose logits these are
  bool last = false;     ///< a new token follows, else the next one is known
  /// Not negative: the token there is this one of the sequence's draft.
  int64_t drafted = -1;
};

class BatchBuilder {
 public:
  explicit BatchBuilder(const kernels::PagePool& pool) : pool_(pool) {}

  /// Fills `batch`, whose memory is used again. REQUIRES: as Scheduler::Schedule gives them, not
  /// yet advanced.
  void Build(const std::vector<Chunk>& chunks, kernels::Batch& batch);
  /// One for each of the batch's logit_rows.
  const std::vector<WantedLogits>& logit_rows() const { return logit_rows_; }

 private:
  void AddChunk(const Chunk& chunk, kernels::Batch& batch);
  void AddExactPages(const Chunk& chunk, kernels::Batch& batch) const;

  kernels::PagePool pool_;
  std::vector<WantedLogits> logit_rows_;
};

}  // namespace atom::engine
