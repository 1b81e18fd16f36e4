// The queries of a warpgroup's 64 rows, as the A operand of q · Kᵀ. A lane has rows g and g + 8 of
// its warp's 16.
#pragma once

#include "atom/kernels/cuda/attention/key_mean.cuh"
#include "atom/kernels/cuda/attention/prefill/row_tile.cuh"
#include "atom/kernels/cuda/ptx/matrix.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::prefill {

template <int kHeadDim>
struct Queries {
  static constexpr int kFragments = kHeadDim / 16;

  uint32_t fragments[kFragments][4];  // (g, low k) (g + 8, low k) (g, high k) (g + 8, high k)
  float sum[2];                       // Σ q
  float mean[2];                      // q · mean of the keys, in units of log2(e): with a softcap
  int first[2], last[2];              // positions that a row sees; none where there is no row

  /// `row`: this lane's first of the tile.
  __device__ __forceinline__ void Load(const PrefillAttention& call, const RowTile& rows, int row,
                                       int lane) {
    const void* at[2];
    bool used[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int query = (row + 8 * h) / rows.group, head = (row + 8 * h) % rows.group;
      used[h] = query < rows.count;
      const int position = rows.first_position + query;
      first[h] = used[h] ? RowTile::FirstSeen(position, call.params) : 0;
      last[h] = used[h] ? RowTile::LastSeen(position, call.params) : -1;
      at[h] = RowAt(call.q, rows.first_row + (used[h] ? query : 0),
                    static_cast<int64_t>(rows.kv_head * rows.group + head) * kHeadDim);
    }
    switch (call.q.type) {  // one branch for all loads, so that they are in flight together
      case RowType::kF16:
        LoadAs<RowType::kF16>(at, lane % 4);
        break;
      case RowType::kBF16:
        LoadAs<RowType::kBF16>(at, lane % 4);
        break;
      default:
        LoadAs<RowType::kF32>(at, lane % 4);
    }
    float sums[4] = {0, 0, 0, 0};
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      uint32_t(&q)[4] = fragments[s];
#pragma unroll
      for (int i = 0; i < 4; ++i) q[i] = used[i % 2] ? q[i] : 0;
      constexpr uint32_t kOnes = 0x3C003C00u;
      ptx::MmaF16(sums, q[0], q[1], q[2], q[3], kOnes, kOnes);
    }
    sum[0] = sums[0];
    sum[1] = sums[2];
  }

  __device__ __forceinline__ void LoadMean(const PrefillAttention& call, int kv_head, int t) {
    mean[0] = mean[1] = 0.0f;
    if (call.params.key_mean == nullptr) return;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      mean[h] =
          __fmul_rn(MeanProduct<kHeadDim>(call.params.key_mean + kv_head * kHeadDim, t,
                                          [&](int i) { return fragments[i / 2][2 * (i % 2) + h]; }),
                    call.params.scale * 1.4426950408889634f);
    }
  }

  /// Into shared memory: [head_dim/64][64 rows][64 channels], swizzled. `warp`: of the warpgroup.
  __device__ __forceinline__ void Store(uint32_t to, int warp, int lane) const {
    const int i = lane / 8, r = lane % 8;
    const uint32_t row = to + (16 * warp + 8 * (i % 2) + r) * 128 + (((i / 2) ^ r) << 4);
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      ptx::StMatrix4((row + s / 4 * kWarpgroupRows * 128) ^ (s % 4 << 5), fragments[s]);
    }
  }

 private:
  template <RowType kType>
  __device__ __forceinline__ void LoadAs(const void* const (&at)[2], int t) {
#pragma unroll
    for (int i = 0; i < 4 * kFragments; ++i) {
      const float2 pair = LoadPair(at[i % 2], kType, 16 * (i / 4) + 8 * (i / 2 % 2) + 2 * t);
      fragments[i / 4][i % 4] = Bits(__floats2half2_rn(pair.x, pair.y));
    }
  }
};

}  // namespace atom::kernels::cuda::prefill
