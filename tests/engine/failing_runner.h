// A runner whose device goes wrong after some calls, and stays so.
#pragma once

#include "atom/kernels/device_error.h"
#include "atom/model/runner.h"

namespace atom::engine {

enum class FailsIn { kSubmit, kCollect };

class FailingRunner final : public model::Runner {
 public:
  static constexpr const char* kSentence = "could not run a step: the device is lost";

  /// `inner` must outlive it. The first `healthy` calls are answered.
  FailingRunner(model::Runner& inner, FailsIn where, int healthy)
      : inner_(inner), where_(where), healthy_(healthy) {}

  const model::RunnerInfo& info() const override { return inner_.info(); }
  int steps_in_flight() const override { return inner_.steps_in_flight(); }
  void Submit(const model::StepInput& input) override {
    if (where_ == FailsIn::kSubmit) Call();
    inner_.Submit(input);
  }
  const model::StepOutput& Collect() override {
    if (where_ == FailsIn::kCollect) Call();
    return inner_.Collect();
  }

 private:
  void Call() {
    if (healthy_-- <= 0) throw kernels::DeviceError(kSentence);
  }

  model::Runner& inner_;
  FailsIn where_;
  int healthy_;
};

}  // namespace atom::engine
