// The normalized Hadamard transform of groups of columns that lie in neighbouring lanes, 16 or 32
// columns a thread: small distances between a thread's registers, larger ones between lanes.
#pragma once

namespace atom::kernels::cuda {

template <int kFrom, int kTo, int kCount>
__device__ __forceinline__ void Butterflies(float* y) {
#pragma unroll
  for (int distance = kFrom; distance < kTo; distance *= 2) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (i & distance) continue;
      const float a = y[i], b = y[i + distance];
      y[i] = __fadd_rn(a, b), y[i + distance] = __fsub_rn(a, b);
    }
  }
}

/// `norm`: fp32(1 / sqrt(group)). All lanes of the warp take part.
template <int kColumns>
__device__ __forceinline__ void TransformGroups(float (&y)[kColumns], int group, float norm) {
  Butterflies<1, 16, kColumns>(y);
  if (kColumns == 32 && group >= 32) Butterflies<16, 32, kColumns>(y);
  for (int lanes = 1; lanes * kColumns < group; lanes *= 2) {
    const float sign = threadIdx.x & lanes ? -1.0f : 1.0f;
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      y[i] = __fmaf_rn(sign, y[i], __shfl_xor_sync(~0u, y[i], lanes));
    }
  }
#pragma unroll
  for (int i = 0; i < kColumns; ++i) y[i] = __fmul_rn(y[i], norm);
}

}  // namespace atom::kernels::cuda
