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

Status LaunchS4Gemm(const S4GemmCall& call, cudaStream_t stream) {
  if (const std::string why = WhyNotComputed(call); !why.empty()) return MakeError("{}", why);
  if (call.m == 0) return {};
  return Check(s4::EnqueueGemm(call, stream), "launch the s4 GEMM");
}

}  // namespace atom::kernels::cuda
