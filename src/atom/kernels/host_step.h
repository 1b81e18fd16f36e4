// What BeginStep keeps of a batch on a backend whose device is the host, and its token slots.
#pragma once

#include <vector>

#include "atom/kernels/step_arena.h"

namespace atom::kernels {

class HostStep {
 public:
  static int64_t Bytes(const BatchLimits& limits);
  /// Grows to the limits: a token slot for each sequence.
  void Reserve(const BatchLimits& limits);

  void Begin(const Batch& batch);
  /// REQUIRES: a step has begun.
  const StepView& view() const;

  /// The id of a row's token, also where it names a token slot.
  int32_t TokenOf(int64_t row) const;
  /// Keeps a token in a slot; -1: nowhere.
  void KeepToken(int32_t slot, int32_t token);

 private:
  StepArena arena_;
  std::vector<int32_t> memory_;  // the arena
  std::vector<int32_t> token_slots_;
  StepView view_;
  bool begun_ = false;
};

}  // namespace atom::kernels
