// Largest magnitudes of a thread's values. The fast path takes them with NaN, which is a NaN if a
// value is; where that or a value beyond all scales turns up, values are tamed: a NaN becomes 0,
// and what is beyond all scales as far beyond as the encoder bears.
#pragma once

#include "atom/kernels/cuda/rows/fused/params.cuh"

namespace atom::kernels::cuda::fused {

inline constexpr float kTame = 1e7f;  ///< values below it in magnitude are tame

/// The larger magnitude; a NaN if one is.
__device__ __forceinline__ float LargerOrNan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(fabsf(b)));
  return larger;
}
/// Of a chunk of 16 values.
__device__ __forceinline__ float LargestOrNan(const float* y) {
  float largest = fabsf(y[0]);
#pragma unroll
  for (int i = 1; i < kChunkColumns; ++i) largest = LargerOrNan(largest, y[i]);
  return largest;
}

/// Not negative, so that the order of floats is that of their bits.
__device__ __forceinline__ float WarpMax(float x) {
  return __uint_as_float(__reduce_max_sync(~0u, __float_as_uint(x)));
}

__device__ __forceinline__ void Tame(float& value, float& largest) {
  largest = fmaxf(largest, fabsf(value));
  value = value == value ? fminf(fmaxf(value, -kTame), kTame) : 0.0f;
}

}  // namespace atom::kernels::cuda::fused
