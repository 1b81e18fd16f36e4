// The query heads that share a KV head, as the B operand of K · qᵀ: column g of a warp's 8 is query
// head g of the pass, zero if there is none.
#pragma once

#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/attention/decode/shape.cuh"
#include "atom/kernels/cuda/attention/key_mean.cuh"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::decode {

/// The query heads of a KV head that a warp works on: [first, first + 8) of `group`.
struct Columns {
  int group, first;

  /// Of this lane's two columns, any.
  __device__ bool Used(int lane) const { return first + 2 * (lane % 4) < group; }
  /// This lane's place among those whose sums are kept. Lanes without a column have that of another
  /// one: they may read what they never use, and must not write.
  __device__ int Place(int lane) const {
    const int pairs = ColumnPairs(group);
    return lane / 4 * pairs + min(lane % 4, pairs - 1);
  }
};

/// The row of q and out that a sequence has.
__device__ __forceinline__ int64_t QueryRow(const DecodeAttention& call, int sequence) {
  return call.rows != nullptr ? __ldg(call.rows + sequence) : sequence;
}

template <int kHeadDim>
struct Queries {
  static constexpr int kFragments = kHeadDim / 16;

  uint32_t fragments[kFragments][2];
  float sum[2];   // Σ q of columns 2t, 2t + 1
  float mean[2];  // q · mean of the keys, in units of log2(e): with a softcap

  __device__ void Load(const DecodeAttention& call, int sequence, int head, const Columns& columns,
                       int lane) {
    const int column = columns.first + lane / 4;
    const bool used = column < columns.group;
    const void* row =
        RowAt(call.q, QueryRow(call, sequence),
              static_cast<int64_t>(head * columns.group + (used ? column : 0)) * kHeadDim);
    // One branch for all loads, so that they are in flight together.
    switch (call.q.type) {
      case RowType::kF16:
        LoadAs<RowType::kF16>(row, lane % 4);
        break;
      case RowType::kBF16:
        LoadAs<RowType::kBF16>(row, lane % 4);
        break;
      default:
        LoadAs<RowType::kF32>(row, lane % 4);
    }
    float sums[4] = {0, 0, 0, 0};
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      if (!used) fragments[s][0] = fragments[s][1] = 0;
      // Σ q, by the tensor core too: every row of the result is the sum of a column.
      constexpr uint32_t kOnes = 0x3C003C00u;
      ptx::MmaF16(sums, kOnes, kOnes, kOnes, kOnes, fragments[s][0], fragments[s][1]);
    }
    sum[0] = sums[0];
    sum[1] = sums[1];
    LoadMean(call, head, lane);
  }

 private:
  __device__ __forceinline__ void LoadMean(const DecodeAttention& call, int head, int lane) {
    mean[0] = mean[1] = 0.0f;
    if (call.params.key_mean == nullptr) return;
    const float product =
        __fmul_rn(MeanProduct<kHeadDim>(call.params.key_mean + head * kHeadDim, lane % 4,
                                        [&](int i) { return fragments[i / 2][i % 2]; }),
                  call.params.scale * 1.4426950408889634f);
    // A lane has that of column g, and needs those of columns 2t, 2t + 1.
#pragma unroll
    for (int j = 0; j < 2; ++j) mean[j] = __shfl_sync(~0u, product, 4 * (2 * (lane % 4) + j));
  }

  template <RowType kType>
  __device__ __forceinline__ void LoadAs(const void* row, int t) {
#pragma unroll
    for (int i = 0; i < 2 * kFragments; ++i) {
      const float2 pair = LoadPair(row, kType, 8 * i + 2 * t);
      fragments[i / 2][i % 2] = Bits(__floats2half2_rn(pair.x, pair.y));
    }
  }
};

}  // namespace atom::kernels::cuda::decode
