// The normalized Hadamard transform of groups of columns that lie in neighbouring lanes, 16 or 32
// columns a thread: small distances between a thread's registers, larger ones between lanes. What
// is not to be transformed stays as it is.
#pragma once

#include "atom/kernels/cuda/rows/fused/params.cuh"
#include "atom/kernels/cuda/rows/fused/twist.cuh"

namespace atom::kernels::cuda::fused {

template <int kFrom, int kTo>
__device__ __forceinline__ void Butterflies(float* y) {
#pragma unroll
  for (int distance = kFrom; distance < kTo; distance *= 2) {
#pragma unroll
    for (int i = 0; i < kTo; ++i) {
      if (i & distance) continue;
      const float a = y[i], b = y[i + distance];
      y[i] = __fadd_rn(a, b), y[i + distance] = __fsub_rn(a, b);
    }
  }
}

/// The product by 1 / sqrt(group) behind the butterflies, of kColumns twisted columns from y on.
template <RowType kType, int kColumns>
__device__ __forceinline__ void ScaleTransformed(float* y, float norm, const Twist<kType>& twist) {
  float norms[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) norms[j] = twist.Norm(norm, j);
#pragma unroll
  for (int i = 0; i < kColumns; ++i) y[i] = __fmul_rn(y[i], norms[i >> Twist<kType>::kShift & 3]);
}

/// `transformed[h]`: whether chunk h is, the same in all threads of a group, and in all chunks of a
/// thread where groups have kColumns or more. All lanes of the warp take part.
template <int kGroup, RowType kType, int kColumns>
__device__ __forceinline__ void TransformGroupsOf(float (&y)[kColumns],
                                                  const bool (&transformed)[kColumns / 16],
                                                  float norm, const Twist<kType>& twist) {
  constexpr int kThreadChunks = kColumns / 16, kFlags = kGroup < kColumns ? kThreadChunks : 1;
#pragma unroll
  for (int f = 0; f < kFlags; ++f) {
    if (transformed[f]) {
#pragma unroll
      for (int h = f; h < (kFlags == 1 ? kThreadChunks : f + 1); ++h)
        Butterflies<1, 16>(y + 16 * h);
      if constexpr (kColumns == 32 && kGroup >= 32) Butterflies<16, 32>(y);
    }
  }
  // A lane that is not transformed meets itself: its values double, which the norm takes back.
  float doubled = 1;
#pragma unroll
  for (int lanes = 1; lanes * kColumns < kGroup; lanes *= 2) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int partner = transformed[0] ? lane ^ lanes : lane;
    const float sign = transformed[0] && (lane & lanes) ? -1.0f : 1.0f;
#pragma unroll
    for (float& value : y) value = __fmaf_rn(sign, value, __shfl_sync(~0u, value, partner));
    doubled *= 0.5f;
  }
#pragma unroll
  for (int f = 0; f < kFlags; ++f) {
    float norms[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) norms[j] = transformed[f] ? twist.Norm(norm, j) : doubled;
#pragma unroll
    for (int i = 16 * f; i < (kFlags == 1 ? kColumns : 16 * f + 16); ++i) {
      y[i] = __fmul_rn(y[i], norms[i >> Twist<kType>::kShift & 3]);
    }
  }
}

template <RowType kType, int kColumns>
__device__ __forceinline__ void TransformGroups(float (&y)[kColumns],
                                                const bool (&transformed)[kColumns / 16],
                                                const Params& params, const Twist<kType>& twist) {
  switch (params.call.group) {
    case 128:
      return TransformGroupsOf<128>(y, transformed, params.transform_norm, twist);
    case 64:
      return TransformGroupsOf<64>(y, transformed, params.transform_norm, twist);
    case 32:
      return TransformGroupsOf<32>(y, transformed, params.transform_norm, twist);
    default:
      return TransformGroupsOf<16>(y, transformed, params.transform_norm, twist);
  }
}

}  // namespace atom::kernels::cuda::fused
