// Tokens in the order of falling logit, ties by rising id, as unsigned integers:
//
//   | order of the logit, 32 bits | ~id, 32 bits |      the largest comes first
//
// The order of a float: its bits, the sign flipped, negative ones complemented; −0 counts as 0.
#pragma once

#include <cstdint>
#include <math_constants.h>

namespace atom::kernels::cuda::sampling {

/// A NaN is never likelier than anything.
__device__ __forceinline__ float Rank(float logit) { return isnan(logit) ? -CUDART_INF_F : logit; }

__device__ __forceinline__ uint32_t Order(float rank) {
  const uint32_t bits = __float_as_uint(__fadd_rn(rank, 0.0f));
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float FromOrder(uint32_t order) {
  return __uint_as_float((order & 0x80000000u) != 0 ? order & 0x7fffffffu : ~order);
}

__device__ __forceinline__ uint64_t RankedToken(float rank, uint32_t id) {
  return uint64_t{Order(rank)} << 32 | ~id;
}
__device__ __forceinline__ int32_t TokenOf(uint64_t ranked) {
  return static_cast<int32_t>(~static_cast<uint32_t>(ranked));
}
__device__ __forceinline__ float LogitOf(uint64_t ranked) {
  return FromOrder(static_cast<uint32_t>(ranked >> 32));
}

__device__ __forceinline__ uint64_t WarpMax(uint64_t value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const uint64_t other = __shfl_xor_sync(~0u, value, distance);
    value = other > value ? other : value;
  }
  return value;
}

/// Calls use(id, Rank(values[id])) for ids of [begin, end), `kThreads` threads together, each in
/// rising order; begin is a multiple of 4.
template <int kThreads, class Use>
__device__ __forceinline__ void ForEachLogit(const float* values, int begin, int end, Use&& use) {
  const bool aligned = (reinterpret_cast<uintptr_t>(values) & 15) == 0;
  const int vectors = aligned ? (end - begin) / 4 : 0;
  const auto* wide = reinterpret_cast<const float4*>(values + begin);
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < vectors; i += kThreads) {
    const float4 v = wide[i];
    const uint32_t id = static_cast<uint32_t>(begin + 4 * i);
    use(id, Rank(v.x));
    use(id + 1, Rank(v.y));
    use(id + 2, Rank(v.z));
    use(id + 3, Rank(v.w));
  }
  for (int i = begin + 4 * vectors + static_cast<int>(threadIdx.x); i < end; i += kThreads) {
    use(static_cast<uint32_t>(i), Rank(values[i]));
  }
}

}  // namespace atom::kernels::cuda::sampling
