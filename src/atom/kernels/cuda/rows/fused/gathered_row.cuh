// Rows whose columns are taken in the order of a permutation, normed where the call says so.
#pragma once

#include "atom/kernels/cuda/rows/fused/gather_tables.cuh"
#include "atom/kernels/cuda/rows/fused/squares.cuh"

namespace atom::kernels::cuda::fused {

template <bool kNorm, RowType kType, int kColumns>
class GatheredRow {
 public:
  static constexpr int kThreadColumns = kColumns, kCluster = 1;
  /// The next row is requested behind the barrier that follows Take; otherwise Take has requested
  /// it.
  static constexpr bool kRequestsLate = !kNorm;
  /// Shared memory of a thread.
  static constexpr int kTableBytes = GatherTables<kNorm, kType, kColumns>::kThreadBytes;
  static constexpr int Bytes(bool residual) {
    return kTableBytes +
           (residual && kStagesResidual ? 2 : 1) * StagedRow<kType, kColumns>::kThreadBytes;
  }

  /// Rows are `first`, first + step, …
  __device__ GatheredRow(const Params& params, char* shared, const Team<1>& team, int64_t first,
                         int64_t step)
      : params_(params),
        call_(params.call),
        team_(team),
        tables_(shared, team),
        x_(shared + team.threads * kTableBytes, call_.columns, team),
        residual_(shared + team.threads * (kTableBytes + Staged::kThreadBytes), call_.columns,
                  team),
        pointer_(call_.x, x_.first_vector() * 16, first, step) {}

  __device__ __forceinline__ void BuildTables() { tables_.Build(call_); }

  /// Of the codes: columns that are transformed are in order.
  __device__ Twist<kType> twist() const {
    return call_.hadamard ? Twist<kType>{0} : transform_twist();
  }
  /// Of the transform's input.
  __device__ Twist<kType> transform_twist() const {
    return Twist<kType>::template Of<kColumns>(team_.thread * kColumns);
  }

  __device__ __forceinline__ void RequestNext(int row) {
    if (row < call_.rows) {
      x_.Request(pointer_.at());
      if (kNorm && kStagesResidual && call_.residual.data != nullptr) {
        residual_.Request(reinterpret_cast<const char*>(ResidualAt(row)));
      }
      pointer_.Advance();
    }
    ptx::AsyncCopyCommit();
  }

  /// The row that was requested.
  __device__ __forceinline__ void Take(int row, int next, Partial* partials, float (&y)[kColumns]) {
    ptx::AsyncCopyWait<0>();
    if (kNorm && call_.residual.data != nullptr) AddResidual(row);
    __syncthreads();
    const uint32_t base = x_.Base();
    tables_.ForEachPlace([&](int i, uint32_t place) { y[i] = Staged::At(base, place); });
    if constexpr (kNorm) {
      team_.Tell(partials, &Partial::squares, WarpSum(SquaresOf<kType>(y)));
      __syncthreads();
      RequestNext(next);
      Normalize(Inverse(partials), y);
    }
  }

 private:
  using Staged = StagedRow<kType, kColumns>;

  /// A residual comes ahead of time where shared memory holds two of the longest rows.
  static constexpr bool kStagesResidual = RowTypeBytes(kType) == 2;

  /// This thread's first vector.
  __device__ const uint4* ResidualAt(int row) const {
    return static_cast<const uint4*>(RowAt(call_.residual, row, 0)) + x_.first_vector();
  }

  /// x += residual, rounded, in shared and in global memory; the norm is of what is stored.
  __device__ __forceinline__ void AddResidual(int row) const {
    auto* to = static_cast<uint4*>(MutableRowAt(call_.x, row, 0)) + x_.first_vector();
#pragma unroll
    for (int i = 0; i < Staged::kVectors; ++i) {
      if (!x_.Has(i)) continue;
      float sum[Staged::kPerVector], added[Staged::kPerVector];
      WidenVector<kType>(x_.OfRequest(i), sum);
      WidenVector<kType>(kStagesResidual ? residual_.OfRequest(i) : ResidualAt(row)[32 * i], added);
#pragma unroll
      for (int j = 0; j < Staged::kPerVector; ++j) sum[j] = __fadd_rn(sum[j], added[j]);
      to[32 * i] = x_.OfRequest(i) = NarrowVector<kType>(sum);
    }
  }

  /// 1 / sqrt(mean of x² + epsilon), each rounded.
  __device__ __forceinline__ float Inverse(const Partial* partials) const {
    const uint32_t warp = team_.lane() & params_.warp_mask;
    float sum = warp < team_.threads / 32 ? partials[warp].squares : 0.0f;
    for (uint32_t distance = 1; distance <= params_.warp_mask; distance *= 2) {
      sum = __fadd_rn(sum, __shfl_xor_sync(~0u, sum, distance));
    }
    return InverseOfNorm(sum, params_.columns, params_.per_column, call_.epsilon);
  }

  __device__ __forceinline__ void Normalize(float inverse, float (&y)[kColumns]) const {
#pragma unroll
    for (int i = 0; i < kColumns / 4; ++i) NormalizeFour(inverse, tables_.Weights(i), y + 4 * i);
  }

  const Params& params_;
  const FusedQuantizeCall& call_;
  const Team<1>& team_;
  GatherTables<kNorm, kType, kColumns> tables_;
  Staged x_, residual_;
  RowPointer pointer_;  ///< of x, the row that is requested next
};

}  // namespace atom::kernels::cuda::fused
