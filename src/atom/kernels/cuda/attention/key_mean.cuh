// With a softcap the mean that was taken from all keys does not cancel in the softmax: q · mean is
// added to a query's scores before the cap (docs/numerics.md, "Attention on CUDA").
#pragma once

#include "atom/kernels/cuda/attention/fragments.cuh"

namespace atom::kernels::cuda {

/// q · mean, of four lanes t = 0 … 3 that hold a query; pair(i): its channels 8 i + 2t, 8 i + 2t +
/// 1 as two fp16. The order of sums is that of these lanes, for every kernel.
template <int kHeadDim, class Pair>
__device__ __forceinline__ float MeanProduct(const float* mean, int t, const Pair& pair) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kHeadDim / 8; ++i) {
    const float2 q = __half22float2(AsHalf2(pair(i)));
    const float2 m = __ldg(reinterpret_cast<const float2*>(mean + 8 * i + 2 * t));
    sum = __fmaf_rn(q.y, m.y, __fmaf_rn(q.x, m.x, sum));
  }
  sum = __fadd_rn(sum, __shfl_xor_sync(~0u, sum, 1));
  return __fadd_rn(sum, __shfl_xor_sync(~0u, sum, 2));
}

}  // namespace atom::kernels::cuda
