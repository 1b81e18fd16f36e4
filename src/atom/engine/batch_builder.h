// The chunks of a step as a kernels::Batch, in their order. Keeps its memory from step to step.
#pragma once

#include <vector>

#include "atom/engine/scheduler.h"
#include "atom/kernels/batch.h"

namespace atom::engine {

/// What one of the batch's logit_rows is for.
struct LogitRow {
  Sequence* sequence = nullptr;
  int64_t position = 0;  ///< of the token whose logits these are
  bool last = false;     ///< a new token follows, else the next one is known
};

class BatchBuilder {
 public:
  explicit BatchBuilder(int64_t page_positions) : page_positions_(page_positions) {}

  /// Valid until the next call. REQUIRES: as Scheduler::Schedule gives them, not yet advanced.
  const kernels::Batch& Build(const std::vector<Chunk>& chunks);
  /// One for each of the batch's logit_rows.
  const std::vector<LogitRow>& logit_rows() const { return logit_rows_; }

 private:
  void AddChunk(const Chunk& chunk);

  int64_t page_positions_;
  kernels::Batch batch_;
  std::vector<LogitRow> logit_rows_;
};

}  // namespace atom::engine
