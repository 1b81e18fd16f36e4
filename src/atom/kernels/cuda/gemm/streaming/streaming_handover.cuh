// How warpgroups that split K keep one chain of float additions.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_products.cuh"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// The running fp32 sums on their way between the warpgroups that split K. Warpgroup `way` waits at
/// barrier 1 + chain·W + way, at which the one before it arrives.
template <StreamShape kShape>
struct Handover {
  uint32_t base;
  const StreamPlace<kShape>& place;

  /// `which`: 0 the running sums, 1 those of the outliers.
  __device__ uint32_t At(int way, int which) const {
    return base + kShape.handover() +
           ((place.chain() * kShape.ways + way) * 2 + which) * 256 * kShape.tokens +
           place.thread * 16;
  }
  __device__ uint32_t Barrier(int way) const { return 1 + place.chain() * kShape.ways + way; }

  __device__ void Wait() const { ptx::BarrierSync(Barrier(place.way), 256); }
  template <class Sum>
  __device__ void Take(Sum (&sum)[kShape.values()], int which) const {
#pragma unroll
    for (int i = 0; i < kShape.tokens / 8; ++i) {
      const uint4 v = LoadShared16(At(place.way, which) + i * 2048);
      sum[4 * i] = FromBits<Sum>(v.x);
      sum[4 * i + 1] = FromBits<Sum>(v.y);
      sum[4 * i + 2] = FromBits<Sum>(v.z);
      sum[4 * i + 3] = FromBits<Sum>(v.w);
    }
  }
  template <class Sum>
  __device__ void Give(const Sum (&sum)[kShape.values()], int which) const {
#pragma unroll
    for (int i = 0; i < kShape.tokens / 8; ++i) {
      StoreShared16(At(next(), which) + i * 2048,
                    make_uint4(ToBits(sum[4 * i]), ToBits(sum[4 * i + 1]), ToBits(sum[4 * i + 2]),
                               ToBits(sum[4 * i + 3])));
    }
  }
  __device__ void Signal() const { ptx::BarrierArrive(Barrier(next()), 256); }
  __device__ int next() const { return place.way + 1 == kShape.ways ? 0 : place.way + 1; }
};

}  // namespace atom::kernels::cuda
