// A head's channels in a warp, and what is done to keys and queries before they are kept: norm,
// RoPE, mean, Hadamard rotation (docs/numerics.md, "Appending on CUDA").
//
// Lane l holds channels i, i + 1 and i + head_dim/2, i + head_dim/2 + 1 for i = 2 l + 64 j below
// head_dim/2: pairs that lie side by side in memory, and the pairs that RoPE rotates. Distances of
// a Hadamard transform are 1 in a lane, then lanes, then registers.
#pragma once

#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::append {

template <int kHeadDim>
struct Channels {
  static constexpr int kHalf = kHeadDim / 2;
  static constexpr int kPairs = (kHalf + 63) / 64;

  float2 low[kPairs], high[kPairs];  // 0 in lanes that have no channels

  /// The first of pair j of this lane.
  static __device__ __forceinline__ int First(int j, int lane) { return 2 * lane + 64 * j; }

  __device__ __forceinline__ void Load(const void* row, RowType type, int lane) {
    switch (type) {  // one branch for all loads, so that they are in flight together
      case RowType::kF16:
        LoadAs<RowType::kF16>(row, lane);
        break;
      case RowType::kBF16:
        LoadAs<RowType::kBF16>(row, lane);
        break;
      default:
        LoadAs<RowType::kF32>(row, lane);
    }
  }

  template <RowType kType>
  __device__ __forceinline__ void LoadAs(const void* row, int lane) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const int i = First(j, lane);
      low[j] = i < kHalf ? LoadPair(row, kType, i) : float2{0, 0};
      high[j] = i < kHalf ? LoadPair(row, kType, i + kHalf) : float2{0, 0};
    }
  }

  __device__ __forceinline__ void Store(void* row, RowType type, int lane) const {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const int i = First(j, lane);
      if (i >= kHalf) continue;
      StorePair(row, type, i, low[j]);
      StorePair(row, type, i + kHalf, high[j]);
    }
  }

  /// RMSNorm over the head's channels.
  __device__ void Normalize(const float* weight, float epsilon, int lane) {
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      sum = __fmaf_rn(low[j].x, low[j].x, __fmaf_rn(low[j].y, low[j].y, sum));
      sum = __fmaf_rn(high[j].x, high[j].x, __fmaf_rn(high[j].y, high[j].y, sum));
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      sum += __shfl_xor_sync(~0u, sum, distance);
    }
    const float mean = __fdiv_rn(sum, static_cast<float>(kHeadDim));
    const float r = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, epsilon)));
    Channels weights;
    weights.Load(weight, RowType::kF32, lane);
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      low[j].x = __fmul_rn(__fmul_rn(low[j].x, r), weights.low[j].x);
      low[j].y = __fmul_rn(__fmul_rn(low[j].y, r), weights.low[j].y);
      high[j].x = __fmul_rn(__fmul_rn(high[j].x, r), weights.high[j].x);
      high[j].y = __fmul_rn(__fmul_rn(high[j].y, r), weights.high[j].y);
    }
  }

  __device__ __forceinline__ void Subtract(const Channels& mean) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      low[j].x -= mean.low[j].x, low[j].y -= mean.low[j].y;
      high[j].x -= mean.high[j].x, high[j].y -= mean.high[j].y;
    }
  }

  /// (a, b) becomes (a cos − b sin, b cos + a sin), each product rounded.
  static __device__ __forceinline__ void RotatePair(float& a, float& b, float cosine, float sine) {
    const float rotated = __fsub_rn(__fmul_rn(a, cosine), __fmul_rn(b, sine));
    b = __fadd_rn(__fmul_rn(b, cosine), __fmul_rn(a, sine));
    a = rotated;
  }

  /// All channels of the head; `angles` has cosines in `low`, sines in `high`.
  __device__ __forceinline__ void Rotate(const Channels& angles) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      RotatePair(low[j].x, high[j].x, angles.low[j].x, angles.high[j].x);
      RotatePair(low[j].y, high[j].y, angles.low[j].y, angles.high[j].y);
    }
  }

  /// The first `rotary` channels only: their pairs are not those of a lane, so they meet in shared
  /// memory. `head`: of the warp, [head_dim].
  __device__ void RotatePart(const float* table, int rotary, int lane, float* head) {
    __syncwarp();
    Store(head, RowType::kF32, lane);
    __syncwarp();
    for (int i = lane; i < rotary / 2; i += 32) {
      RotatePair(head[i], head[i + rotary / 2], __ldg(table + i), __ldg(table + rotary / 2 + i));
    }
    __syncwarp();
    LoadAs<RowType::kF32>(head, lane);
    __syncwarp();
  }

  /// Sums and differences at distances 1, 2, 4, … below `size`, then one product with the norm.
  __device__ void Hadamard(int size, int lane) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      low[j] = {low[j].x + low[j].y, low[j].x - low[j].y};
      high[j] = {high[j].x + high[j].y, high[j].x - high[j].y};
    }
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      if (2 * distance >= size || 2 * distance >= kHalf) break;
      const bool upper = (lane & distance) != 0;
#pragma unroll
      for (int j = 0; j < kPairs; ++j) {
        Exchange(low[j].x, distance, upper), Exchange(low[j].y, distance, upper);
        Exchange(high[j].x, distance, upper), Exchange(high[j].y, distance, upper);
      }
    }
    static_assert(kPairs <= 2);
    if (kPairs == 2 && size > 64) {
      SumAndDifference(low[0], low[kPairs - 1]);
      SumAndDifference(high[0], high[kPairs - 1]);
    }
    const float norm = __frcp_rn(__fsqrt_rn(static_cast<float>(size)));
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      if (size > kHalf) SumAndDifference(low[j], high[j]);
      low[j].x *= norm, low[j].y *= norm, high[j].x *= norm, high[j].y *= norm;
    }
  }

 private:
  static __device__ __forceinline__ void Exchange(float& x, int distance, bool upper) {
    const float other = __shfl_xor_sync(~0u, x, distance);
    x = upper ? other - x : x + other;
  }
  static __device__ __forceinline__ void SumAndDifference(float2& a, float2& b) {
    const float2 first = a, second = b;
    a = {first.x + second.x, first.y + second.y};
    b = {first.x - second.x, first.y - second.y};
  }
};

}  // namespace atom::kernels::cuda::append
