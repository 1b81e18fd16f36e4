// The kernels of fused/many_rows.cuh.
#include "atom/kernels/cuda/rows/fused/many_rows.cuh"

namespace atom::kernels::cuda::fused {
namespace {

template <bool kNorm, bool kHadamard, RowType kType>
cudaError_t LaunchTeams(const FusedQuantizeCall& call, cudaStream_t stream) {
  switch (TeamWarps(call)) {
    case 2:
      return LaunchManyRows<kNorm, kHadamard, kType, 2>(call, stream);
    case 3:
      return LaunchManyRows<kNorm, kHadamard, kType, 3>(call, stream);
    case 4:
      return LaunchManyRows<kNorm, kHadamard, kType, 4>(call, stream);
    default:
      // Of fp32, shared memory does not hold the tables and a row.
      return LaunchManyRows<kNorm, kHadamard, RowType::kF16, 8>(call, stream);
  }
}

template <bool kNorm, bool kHadamard>
cudaError_t LaunchType(const FusedQuantizeCall& call, cudaStream_t stream) {
  return call.x.type == RowType::kF32 ? LaunchTeams<kNorm, kHadamard, RowType::kF32>(call, stream)
                                      : LaunchTeams<kNorm, kHadamard, RowType::kF16>(call, stream);
}

template <bool kNorm>
cudaError_t LaunchSource(const FusedQuantizeCall& call, cudaStream_t stream) {
  return call.hadamard ? LaunchType<kNorm, true>(call, stream)
                       : LaunchType<kNorm, false>(call, stream);
}

}  // namespace

cudaError_t EnqueueManyRows(const FusedQuantizeCall& call, cudaStream_t stream) {
  return call.source == FusedSource::kRmsNorm ? LaunchSource<true>(call, stream)
                                              : LaunchSource<false>(call, stream);
}

}  // namespace atom::kernels::cuda::fused
