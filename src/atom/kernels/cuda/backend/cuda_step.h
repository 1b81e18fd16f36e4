// What ops read beside their arguments, on the device, and what they work in: a step's batch, the
// rows to sample, queries, and workspaces. All of it is allocated by Prepare; a step allocates
// nothing.
#pragma once

#include <optional>

#include "atom/kernels/backend.h"
#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/backend/upload_ring.h"
#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda/sampling/sampling.h"

namespace atom::kernels::cuda {

/// Bytes of each part.
struct ScratchSizes {
  ScratchSizes(const StepPlan& plan, const DeviceProperties& device);

  int64_t arena = 0;      ///< StepArena
  int64_t slots = 0;      ///< tokens that Sample keeps
  int64_t choices = 0;    ///< rows of one Sample, or of one call that asks about logits
  int64_t edits = 0;      ///< edits of one launch: at least one row's
  int64_t masks = 0;      ///< masks of one launch: at least one row's
  int64_t logits = 0;     ///< workspace of sampling and of log-probabilities
  int64_t attention = 0;  ///< workspace of decode attention
  int64_t counters = 0;   ///< its counters
  int64_t ends = 0;       ///< of softmaxes, where there is an exact window
  int64_t ring = 0;       ///< half of the pinned ring

  int64_t device_bytes() const {
    return arena + slots + choices + edits + masks + logits + attention + counters + ends;
  }
};

/// A run of sequences that one attention kernel takes: decode, one query each, or prefill.
struct SequenceRun {
  int first = 0;
  int count = 0;
  int first_row = 0;
  int max_queries = 0;
};

class CudaStep {
 public:
  /// Grows to the plan. REQUIRES: nothing is under way.
  Status Prepare(const StepPlan& plan, const DeviceProperties& device, const Stream& stream);

  bool HasRoom(const BatchLimits& needed) const;
  /// REQUIRES: there is room.
  Status Begin(const Batch& batch, const Stream& stream);
  /// Enqueues a copy of a small array to one of the places below.
  template <class T>
  Status Upload(std::span<const T> from, T* to, const Stream& stream) {
    return ring_->Upload(std::as_bytes(from), to, stream);
  }

  /// Device addresses of the step that has begun.
  const StepView& view() const;
  /// Of the step that has begun, in order; a run has one kind of chunks.
  std::span<const SequenceRun> runs() const { return runs_; }

  const StepPlan& plan() const { return plan_; }
  int32_t* slots() const { return slots_; }
  TokenChoice* choices() const { return choices_; }
  DeviceQuery* queries() const { return reinterpret_cast<DeviceQuery*>(choices_); }
  LogitEdit* edits() const { return edits_; }
  int64_t edit_capacity() const { return edit_capacity_; }
  uint64_t* masks() const { return masks_; }
  int64_t mask_capacity() const { return mask_capacity_; }
  std::byte* logits_workspace() const { return logits_workspace_; }
  std::byte* attention_workspace() const { return attention_workspace_; }
  std::byte* attention_counters() const { return attention_counters_; }
  /// REQUIRES: the plan has so many rows · heads, and an exact window.
  SoftmaxEnds* softmax_ends(int64_t count) const;

 private:
  void FindRuns(const Batch& batch);

  StepPlan plan_;
  StepArena arena_;
  std::optional<DeviceArena> memory_;
  std::optional<UploadRing> ring_;
  std::vector<int32_t> packed_;
  Batch trimmed_;
  std::vector<SequenceRun> runs_;
  StepView view_;
  bool begun_ = false;

  int32_t* arena_data_ = nullptr;
  int32_t* slots_ = nullptr;
  TokenChoice* choices_ = nullptr;
  LogitEdit* edits_ = nullptr;
  int64_t edit_capacity_ = 0;
  uint64_t* masks_ = nullptr;
  int64_t mask_capacity_ = 0;
  std::byte* logits_workspace_ = nullptr;
  std::byte* attention_workspace_ = nullptr;
  std::byte* attention_counters_ = nullptr;
  SoftmaxEnds* softmax_ends_ = nullptr;
  int64_t softmax_end_capacity_ = 0;
};

}  // namespace atom::kernels::cuda
