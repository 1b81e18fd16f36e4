// A head's channels in a warp, and what is done to keys and queries before they are kept: norm,
// RoPE, mean, Hadamard rotation (docs/numerics.md, "Appending on CUDA").
//
// Lane l holds channels i, i + 1 and i + head_dim/2, i + head_dim/2 + 1 for i = 2 l + 64 j below
// head_dim/2: pairs that lie side by side in memory, and the pairs that RoPE rotates. Distances of
// Sylvester's matrix are 1 in a lane, then lanes, then registers.
#pragma once

#include "atom/kernels/cuda/attention/append/paley.cuh"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::append {

template <int kHeadDim>
struct Channels {
  static constexpr int kHalf = kHeadDim / 2;
  static constexpr int kPairs = (kHalf + 63) / 64;
  /// Of the rotation: blocks of 2^n channels.
  static constexpr int kBlocks = kHeadDim == 80 ? 20 : kHeadDim == 96 ? 12 : 1;
  static constexpr int kBlockWidth = kHeadDim / kBlocks;

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

  /// H · x (docs/numerics.md, "Rotated heads"). `head`: of the warp, [head_dim].
  __device__ void RotateHead(int lane, float* head) {
    RotateBlocks(lane);
    if constexpr (kBlocks > 1) MixBlocks(lane, head);
  }

 private:
  /// Each block by Sylvester's matrix: sums and differences at distances 1, 2, 4, …, one product.
  __device__ __forceinline__ void RotateBlocks(int lane) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      low[j] = {low[j].x + low[j].y, low[j].x - low[j].y};
      high[j] = {high[j].x + high[j].y, high[j].x - high[j].y};
    }
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      if (2 * distance >= kBlockWidth || 2 * distance >= kHalf) break;
      const float sign = (lane & distance) != 0 ? -1.0f : 1.0f;
#pragma unroll
      for (int j = 0; j < kPairs; ++j) {
        Exchange(low[j].x, distance, sign), Exchange(low[j].y, distance, sign);
        Exchange(high[j].x, distance, sign), Exchange(high[j].y, distance, sign);
      }
    }
    static_assert(kPairs <= 2);
    if (kPairs == 2) {
      SumAndDifference(low[0], low[kPairs - 1]);
      SumAndDifference(high[0], high[kPairs - 1]);
    }
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      if (kBlocks == 1) SumAndDifference(low[j], high[j]);
      Multiply(j, InverseRoot(kBlockWidth));
    }
  }

  /// Channels j of all blocks by Paley's matrix: sums in ascending order of blocks, one product.
  /// Blocks meet in shared memory; a lane's channels are the same ones of blocks b and
  /// b + kBlocks/2.
  __device__ __forceinline__ void MixBlocks(int lane, float* head) {
    static_assert(kPairs == 1 && kHalf % kBlockWidth == 0);
    __syncwarp();
    Store(head, RowType::kF32, lane);
    __syncwarp();
    const int i = First(0, lane);
    if (i < kHalf) {
      const uint32_t low_signs = PaleyNegatives<kBlocks>(i / kBlockWidth);
      const uint32_t high_signs = PaleyNegatives<kBlocks>(i / kBlockWidth + kBlocks / 2);
#pragma unroll
      for (int c = 0; c < kBlocks; ++c) {
        const float2 x = *reinterpret_cast<const float2*>(head + c * kBlockWidth + i % kBlockWidth);
        const float2 to_low = Signed(x, low_signs >> c), to_high = Signed(x, high_signs >> c);
        low[0] = c == 0 ? to_low : float2{low[0].x + to_low.x, low[0].y + to_low.y};
        high[0] = c == 0 ? to_high : float2{high[0].x + to_high.x, high[0].y + to_high.y};
      }
      Multiply(0, InverseRoot(kBlocks));
    }
    __syncwarp();
  }

  /// fp32(n^(−1/2)).
  static constexpr float InverseRoot(int n) {
    switch (n) {
      case 4:
        return 0.5f;
      case 8:
        return static_cast<float>(0.35355339059327376);
      case 12:
        return static_cast<float>(0.28867513459481287);
      case 20:
        return static_cast<float>(0.22360679774997896);
      case 64:
        return 0.125f;
      case 128:
        return static_cast<float>(0.08838834764831845);
      default:
        return 0.0625f;
    }
  }
  static_assert(kBlockWidth != 16 && kBlockWidth != 32);

  __device__ __forceinline__ void Multiply(int j, float factor) {
    low[j].x *= factor, low[j].y *= factor, high[j].x *= factor, high[j].y *= factor;
  }
  /// Negated where bit 0 of `negative` is set.
  static __device__ __forceinline__ float2 Signed(float2 x, uint32_t negative) {
    const uint32_t sign = negative << 31;
    return {__uint_as_float(__float_as_uint(x.x) ^ sign),
            __uint_as_float(__float_as_uint(x.y) ^ sign)};
  }
  /// The sum in the lower lane, the difference in the upper one, whose sign is −1.
  static __device__ __forceinline__ void Exchange(float& x, int distance, float sign) {
    x = __fmaf_rn(x, sign, __shfl_xor_sync(~0u, x, distance));
  }
  static __device__ __forceinline__ void SumAndDifference(float2& a, float2& b) {
    const float2 first = a, second = b;
    a = {first.x + second.x, first.y + second.y};
    b = {first.x - second.x, first.y - second.y};
  }
};

}  // namespace atom::kernels::cuda::append
