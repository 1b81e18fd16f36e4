// Plans of tiled GEMMs in every way, and the memory in which a divided tile's sums are handed over.
#pragma once

#include <cstring>
#include <memory>
#include <variant>
#include <vector>

#include "atom/kernels/cuda/gemm/gemm_choice.h"

#include "gtest/gtest.h"
#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {

/// Every plan for `card`, and for cards of few multiprocessors, which divide small products too.
inline std::vector<GemmPlan> PlansOnAnyCard(const GemmDesc& desc, const GemmDevice& card) {
  std::vector<GemmPlan> plans = GemmPlans(desc, card);
  for (const int multiprocessors : {2, 4, 6, 10, 22}) {
    for (const GemmPlan& plan : GemmPlans(desc, {multiprocessors, card.shared_bytes})) {
      if (plan.schedule.divided > 0) plans.push_back(plan);
    }
  }
  return plans;
}

/// Null where a plan divides nothing.
class Handover {
 public:
  explicit Handover(const GemmChoice& choice) {
    const auto* plan = std::get_if<GemmPlan>(&choice);
    if (plan == nullptr || plan->schedule.divided == 0) return;
    memory_ = std::make_unique<DeviceArray<uint8_t>>(
        static_cast<size_t>(HandoverBytes(plan->grid)));  // poisoned
    ATOM_CHECK(cudaMemset(memory_->data(), 0, kHandoverFlagBytes) == cudaSuccess, "memset");
    ATOM_CHECK(cudaDeviceSynchronize() == cudaSuccess, "memset");
  }

  void* data() const { return memory_ ? memory_->data() : nullptr; }

  /// Behind a kernel no flag is left.
  void ExpectTakenBack() const {
    if (!memory_) return;
    std::vector<uint8_t> flags(static_cast<size_t>(kHandoverFlagBytes));
    ATOM_CHECK(cudaMemcpy(flags.data(), memory_->data(), flags.size(), cudaMemcpyDeviceToHost) ==
                   cudaSuccess,
               "download");
    EXPECT_EQ(flags, std::vector<uint8_t>(flags.size()));
  }

 private:
  std::unique_ptr<DeviceArray<uint8_t>> memory_;
};

}  // namespace atom::kernels::cuda
