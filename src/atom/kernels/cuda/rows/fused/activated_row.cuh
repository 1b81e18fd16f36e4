// Rows of silu(gate) · up, in the order in which they lie.
#pragma once

#include "atom/kernels/cuda/rows/fused/params.cuh"
#include "atom/kernels/cuda/rows/fused/staged_row.cuh"
#include "atom/kernels/cuda/rows/fused/twist.cuh"

namespace atom::kernels::cuda::fused {

template <RowType kType, int kColumns, int kCtas>
class ActivatedRow {
 public:
  static constexpr int kThreadColumns = kColumns, kCluster = kCtas;
  static constexpr bool kRequestsLate = false;
  static constexpr int Bytes(bool) { return 2 * StagedRow<kType, kColumns>::kThreadBytes; }

  __device__ ActivatedRow(const Params& params, char* shared, const Team<kCluster>& team,
                          int64_t first, int64_t step)
      : call_(params.call),
        gate_(shared, call_.columns, team),
        up_(shared + blockDim.x * Staged::kThreadBytes, call_.columns, team),
        pointer_(call_.x, gate_.first_vector() * 16, first, step) {}

  __device__ void BuildTables() {}

  __device__ Twist<kType> twist() const { return {0}; }
  __device__ Twist<kType> transform_twist() const { return {0}; }

  __device__ __forceinline__ void RequestNext(int row) {
    if (row < call_.rows) {
      const char* const up = pointer_.at() + int64_t{call_.columns} * RowTypeBytes(kType);
      gate_.Request(pointer_.at());
      up_.Request(up);
      pointer_.Advance();
    }
    ptx::AsyncCopyCommit();
  }

  /// Warps request the vectors of their own columns, so that no barrier is needed.
  __device__ __forceinline__ void Take(int, int next, Partial*, float (&y)[kColumns]) {
    ptx::AsyncCopyWait<0>();
    __syncwarp();
#pragma unroll
    for (int i = 0; i < Staged::kVectors; ++i) {
      float a[Staged::kPerVector], b[Staged::kPerVector];
      WidenVector<kType>(gate_.OfColumns(i), a);
      WidenVector<kType>(up_.OfColumns(i), b);
#pragma unroll
      for (int j = 0; j < Staged::kPerVector; ++j) {
        y[i * Staged::kPerVector + j] = __fmul_rn(__fdividef(a[j], 1.0f + __expf(-a[j])), b[j]);
      }
    }
    __syncwarp();
    RequestNext(next);
  }

 private:
  using Staged = StagedRow<kType, kColumns>;

  const FusedQuantizeCall& call_;
  Staged gate_, up_;
  RowPointer pointer_;  ///< of the gate, the row that is requested next
};

}  // namespace atom::kernels::cuda::fused
