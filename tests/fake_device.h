// A device with memory of its own, as far as plans of it go: it computes on the host.
#pragma once

#include "atom/kernels/reference/reference_backend.h"

namespace atom::tests {

class FakeDevice : public kernels::reference::ReferenceBackend {
 public:
  explicit FakeDevice(const kernels::DeviceRoom& room) : ReferenceBackend(1), room_(room) {}

  std::optional<kernels::DeviceRoom> Room() const override { return room_; }
  int64_t PinnedBytes(const kernels::StepPlan& plan) const override {
    return plan.batch.rows << 20;
  }

 private:
  kernels::DeviceRoom room_;
};

}  // namespace atom::tests
