// Which calls of the fused quantizer fill the lanes of the kernel of many_rows.cuh, and its
// launch.
#pragma once

#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/rows/fused_quantize_call.h"

namespace atom::kernels::cuda::fused {

inline constexpr int kThreadColumns = 64;
inline constexpr int kWarpColumns = 32 * kThreadColumns;

/// Warps that share a row: 2, 3, 4 or 8.
inline int TeamWarps(const FusedQuantizeCall& call) {
  for (const int warps : {2, 3, 4}) {
    if (call.columns <= warps * kWarpColumns) return warps;
  }
  return 8;
}

/// Whether four of five lanes have columns and there are rows for all multiprocessors.
inline bool FillLanes(const FusedQuantizeCall& call) {
  constexpr int kManyRows = 256;
  const int warps = TeamWarps(call);
  return call.rows >= kManyRows && call.group == kBlockColumns &&
         call.source != FusedSource::kSiluMul && call.residual.data == nullptr &&
         5 * call.columns >= 4 * warps * kWarpColumns &&
         (call.x.type == RowType::kF16 || (call.x.type == RowType::kF32 && warps < 8));
}

/// REQUIRES: FillLanes(call).
cudaError_t EnqueueManyRows(const FusedQuantizeCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda::fused
