#include "atom/kernels/cuda/gemm/s4/s4_gemm.h"

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

std::string WhyNotComputed(const S4GemmCall& call) {
  if (call.m < 0 || call.n <= 0 || call.k4 < 0 || call.k8 < 0 || call.k4 + call.k8 == 0) {
    return fmt::format("a product of {} x {} by {} + {} columns", call.m, call.n, call.k4, call.k8);
  }
  if (call.k4 > 0 && (call.group <= 0 || call.group % 64 != 0 || call.k4 % call.group != 0)) {
    return fmt::format(
        "groups of {} in {} columns: the s4 kernel takes multiples of 64 that divide "
        "the columns",
        call.group, call.k4);
  }
  if (call.k8 % 16 != 0 || call.k8 > 131072) {
    return fmt::format("{} outlier columns: the s4 kernel takes multiples of 16 up to 131072",
                       call.k8);
  }
  for (const CodeRows& rows : {call.x4, call.x8, call.w4, call.w8}) {
    if (rows.stride % 16 == 0) continue;
    return fmt::format("rows of codes {} bytes apart: the s4 kernel takes multiples of 16",
                       rows.stride);
  }
  return "";
}

S4GemmPlan PlanS4Gemm(const S4GemmCall& call, int compute_capability) {
  const auto divide_up = [](int a, int b) { return (a + b - 1) / b; };
  S4GemmPlan plan;
  plan.token_tiles = divide_up(call.m, s4::kTile);
  plan.output_tiles = divide_up(call.n, s4::kTile);
  plan.k_blocks = divide_up(call.k4, 2 * s4::kBlockBytes) + divide_up(call.k8, s4::kBlockBytes);
  plan.native = compute_capability >= 75 && compute_capability < 90;
  return plan;
}

std::string ToString(const S4GemmPlan& plan) {
  return fmt::format(
      "s4: {} × {} tiles of {} × {}, {} blocks of K in {} stages, {} threads, {} bytes of shared "
      "memory, {} 4-bit products",
      plan.token_tiles, plan.output_tiles, s4::kTile, s4::kTile, plan.k_blocks, s4::kStages,
      s4::kThreads, s4::kSharedBytes, plan.native ? "native" : "emulated");
}

Status LaunchS4Gemm(const S4GemmCall& call, cudaStream_t stream) {
  if (const std::string why = WhyNotComputed(call); !why.empty()) return MakeError("{}", why);
  if (call.m == 0) return {};
  // Tiles are the same on every card.
  return Check(s4::EnqueueGemm(call, PlanS4Gemm(call, 0), stream), "launch the s4 GEMM");
}

}  // namespace atom::kernels::cuda
