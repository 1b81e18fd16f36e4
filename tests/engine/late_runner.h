// A runner that answers one step late: what a device with a step in flight looks like to an engine.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "atom/core/check.h"
#include "atom/model/runner.h"

namespace atom::engine {

class LateRunner final : public model::Runner {
 public:
  /// `inner` has no step in flight itself; it must outlive this.
  explicit LateRunner(model::Runner& inner) : inner_(inner) {}

  const model::RunnerInfo& info() const override { return inner_.info(); }
  int steps_in_flight() const override { return 1; }

  void Submit(const model::StepInput& input) override {
    ATOM_CHECK(steps_.size() <= 1, "{} steps in flight", steps_.size());
    inner_.Submit(input);
    Keep(inner_.Collect());
  }
  const model::StepOutput& Collect() override {
    ATOM_CHECK(!steps_.empty(), "no step to collect");
    shown_ = std::move(steps_.front());
    steps_.pop_front();
    for (size_t i = 0; i < shown_.top.size(); ++i) shown_.output.rows[i].top = shown_.top[i];
    return shown_.output;
  }

 private:
  struct Step {
    model::StepOutput output;
    std::vector<std::vector<kernels::TokenValue>> top;  // by row: the inner runner's go away
  };
  void Keep(const model::StepOutput& output) {
    Step& step = steps_.emplace_back();
    step.output = output;
    for (const model::StepOutput::Row& row : output.rows) {
      step.top.emplace_back(row.top.begin(), row.top.end());
    }
  }

  model::Runner& inner_;
  std::deque<Step> steps_;
  Step shown_;
};

}  // namespace atom::engine
