#include "atom/kernels/cuda/gemm/gemm_choice.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels::cuda {

std::string WhyNotChosen(const GemmDesc& desc) {
  const std::string why = WhyNotStreamed(desc);
  return why.empty() || WhyNotComputed(desc).empty() ? "" : why;
}

GemmChoice ChooseGemm(const GemmDesc& desc, const GemmDevice& device) {
  ATOM_CHECK(WhyNotChosen(desc).empty(), "{}", WhyNotChosen(desc));
  if (!WhyNotComputed(desc).empty()) return PlanStream(desc, device);
  const GemmPlan tiled = PlanGemm(desc, device);
  if (!WhyNotStreamed(desc).empty()) return tiled;
  const StreamPlan streamed = PlanStream(desc, device);
  const double tiled_clocks = std::max(tiled.estimated_clocks, MemoryClocks(desc));
  // Where memory bounds both, streaming is the one that was made for it.
  if (1.02 * tiled_clocks < streamed.estimated_clocks) return tiled;
  return streamed;
}

std::string ToString(const GemmChoice& choice) {
  return std::visit([](const auto& plan) { return ToString(plan); }, choice);
}

Status LaunchGemm(const GemmDesc& desc, const GemmChoice& choice, const GemmOperands& operands,
                  const GemmLaunch& launch) {
  if (const auto* streamed = std::get_if<StreamPlan>(&choice)) {
    return LaunchStreamGemm(desc, *streamed, operands, launch);
  }
  return LaunchGemm(desc, std::get<GemmPlan>(choice), operands, launch);
}

}  // namespace atom::kernels::cuda
