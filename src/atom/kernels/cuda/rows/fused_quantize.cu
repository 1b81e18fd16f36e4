// Which kernel of fused/ quantizes a call's rows.
#include "atom/kernels/cuda/rows/fused/kernel.cuh"
#include "atom/kernels/cuda/rows/fused/many_rows_call.h"

namespace atom::kernels::cuda {
namespace {

using fused::ActivatedRow;
using fused::GatheredRow;

/// What a team has warps for at 16 columns a thread.
constexpr int kLongest = 16 * 32 * fused::kMaxWarps;

/// Few rows of not too many columns: half as many a thread, for twice the threads.
bool AreFew(const FusedQuantizeCall& call) { return call.rows <= 64 && call.columns <= 8192; }

template <RowType kType>
cudaError_t LaunchType(const FusedQuantizeCall& call, cudaStream_t stream) {
  const bool few = AreFew(call);
  switch (call.source) {
    case FusedSource::kRmsNorm:
      return few ? fused::Launch<GatheredRow<true, kType, 16>>(call, stream)
                 : fused::Launch<GatheredRow<true, kType, 32>>(call, stream);
    case FusedSource::kValues:
      return few ? fused::Launch<GatheredRow<false, kType, 16>>(call, stream)
                 : fused::Launch<GatheredRow<false, kType, 32>>(call, stream);
    default:
      if (call.rows <= 32 && call.columns <= kLongest) {
        return fused::Launch<ActivatedRow<kType, 16, 4>>(call, stream);
      }
      return fused::Launch<ActivatedRow<kType, 32, 1>>(call, stream);
  }
}

}  // namespace

cudaError_t EnqueueFusedQuantize(const FusedQuantizeCall& call, cudaStream_t stream) {
  if (fused::FillLanes(call)) return fused::EnqueueManyRows(call, stream);
  switch (call.x.type) {
    case RowType::kF16:
      return LaunchType<RowType::kF16>(call, stream);
    case RowType::kBF16:
      return LaunchType<RowType::kBF16>(call, stream);
    default:
      return LaunchType<RowType::kF32>(call, stream);
  }
}

}  // namespace atom::kernels::cuda
