#include "atom/kernels/cuda/rows/fused_quantize.h"

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

Status LaunchFusedQuantize(const FusedQuantizeCall& call, cudaStream_t stream) {
  if (call.columns > kMaxFusedColumns || call.columns % 16 != 0) {
    return MakeError(
        "fused quantization on the GPU: rows of {} values; it takes multiples of 16, "
        "at most {}",
        call.columns, kMaxFusedColumns);
  }
  const int low = call.columns - call.outliers, group = call.group;
  ATOM_CHECK(group == 16 || group == 32 || group == 64 || group == 128, "groups of {}", group);
  ATOM_CHECK(low >= 0 && low % group == 0 && call.outliers % 16 == 0,
             "{} columns, {} of them outliers, groups of {}", call.columns, call.outliers, group);
  ATOM_CHECK(call.bits == 4 || (call.bits == 8 && call.scale != FusedScale::kInteger), "{} bits",
             call.bits);
  ATOM_CHECK(call.clip >= kLeastFusedClip, "a clip ratio of {}", call.clip);
  if (call.rows == 0) return {};
  return Check(EnqueueFusedQuantize(call, stream), "launch fused quantization");
}

}  // namespace atom::kernels::cuda
