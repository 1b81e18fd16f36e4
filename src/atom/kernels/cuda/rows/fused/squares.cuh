// The norm of a row from registers. Sums add in an order that depends on the row's columns alone,
// not on how many of them a thread has nor on twists: chunks of 16 columns in four chains, those of
// columns that differ in the twist's bits; then always two neighbouring sums.
#pragma once

#include "atom/kernels/cuda/rows/fused/params.cuh"
#include "atom/kernels/cuda/rows/fused/twist.cuh"
#include "atom/kernels/cuda/rows/rounded_division.cuh"

namespace atom::kernels::cuda::fused {

/// Σ x² of kColumns values from y on.
template <RowType kType, int kColumns>
__device__ __forceinline__ float SquaresFrom(const float* y) {
  if constexpr (kColumns > kChunkColumns) {
    return __fadd_rn(SquaresFrom<kType, kColumns / 2>(y),
                     SquaresFrom<kType, kColumns / 2>(y + kColumns / 2));
  } else {
    float chains[4] = {};
#pragma unroll
    for (int i = 0; i < kChunkColumns; ++i) {
      float& chain = chains[i >> Twist<kType>::kShift & 3];
      chain = __fmaf_rn(y[i], y[i], chain);
    }
    return __fadd_rn(__fadd_rn(chains[0], chains[1]), __fadd_rn(chains[2], chains[3]));
  }
}
template <RowType kType, int kColumns>
__device__ __forceinline__ float SquaresOf(const float (&y)[kColumns]) {
  return SquaresFrom<kType, kColumns>(y);
}

/// The same in all lanes.
__device__ __forceinline__ float WarpSum(float sum) {
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    sum = __fadd_rn(sum, __shfl_xor_sync(~0u, sum, distance));
  }
  return sum;
}

/// 1 / sqrt(mean of x² + epsilon), each rounded; `per_column`: 1 / columns, rounded.
__device__ __forceinline__ float InverseOfNorm(float squares, float columns, float per_column,
                                               float epsilon) {
  const float mean = Divide(squares, columns, per_column);
  return ReciprocalOfNormal(__fsqrt_rn(__fadd_rn(mean, epsilon)));
}

__device__ __forceinline__ void NormalizeFour(float inverse, const float4& weights, float* y) {
  y[0] = __fmul_rn(__fmul_rn(y[0], inverse), weights.x);
  y[1] = __fmul_rn(__fmul_rn(y[1], inverse), weights.y);
  y[2] = __fmul_rn(__fmul_rn(y[2], inverse), weights.z);
  y[3] = __fmul_rn(__fmul_rn(y[3], inverse), weights.w);
}

}  // namespace atom::kernels::cuda::fused
