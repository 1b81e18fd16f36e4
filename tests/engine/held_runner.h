// A runner that stops before a step until it is let go: what should happen while a model computes
// can then be awaited, however fast the model and however slow the rest.
#pragma once

#include <condition_variable>
#include <mutex>

#include "atom/model/runner.h"

namespace atom::engine {

class HeldRunner final : public model::Runner {
 public:
  /// `inner` must outlive it.
  explicit HeldRunner(model::Runner& inner) : inner_(inner) {}

  const model::RunnerInfo& info() const override { return inner_.info(); }
  int steps_in_flight() const override { return inner_.steps_in_flight(); }
  void Submit(const model::StepInput& input) override {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !held_ || allowed_ > 0; });
      if (held_) --allowed_;
    }
    inner_.Submit(input);
  }
  const model::StepOutput& Collect() override { return inner_.Collect(); }

  /// After so many steps more.
  void Hold(int steps) {
    const std::lock_guard lock(mutex_);
    held_ = true;
    allowed_ = steps;
  }
  /// Before whatever uses it ends.
  void Release() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }

 private:
  model::Runner& inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  int allowed_ = 0;
};

}  // namespace atom::engine
