// Sums of a unit that was cut in K (tile_schedule.h), from the CTA that began it to the one that
// goes on: through memory, thread by thread, so that a flag a warp is all that is needed.
//
//   | flags [cut][CTA of the cluster][warp] | sums [cut][CTA][warpgroup][sums / 4][thread] 16 B |
//
// A flag is 0 before and after a kernel: who has seen it takes it back. The kernel that comes next
// writes only when this one has ended (it has waited before it read activations).
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_context.cuh"

namespace atom::kernels::cuda {

template <class Config, class Sum>
class TileHandover {
 public:
  static constexpr int kSums = Config::kTokens / 2;
  static_assert(sizeof(Sum) == 4);

  /// `cut`: clusters that come before the cut.
  __device__ TileHandover(const TileParams& params, int cut, int rank, int warpgroup, int thread)
      : lane_(thread % 32) {
    const int place = ((cut - 1) * Config::kCluster + rank) * Config::kWarpgroups + warpgroup;
    flag_ = reinterpret_cast<uint32_t*>(params.handover) + place * 4 + thread / 32;
    sums_ = reinterpret_cast<uint4*>(params.handover + kHandoverFlagBytes) +
            place * (kSums / 4 * 128) + thread;
  }

  __device__ __forceinline__ void Give(const Sum (&sums)[kSums]) const {
#pragma unroll
    for (int i = 0; i < kSums / 4; ++i) {
      __stcg(sums_ + i * 128, make_uint4(Bits(sums[4 * i]), Bits(sums[4 * i + 1]),
                                         Bits(sums[4 * i + 2]), Bits(sums[4 * i + 3])));
    }
    __threadfence();
    __syncwarp();
    if (lane_ == 0) asm volatile("st.release.gpu.global.u32 [%0], 1;" ::"l"(flag_) : "memory");
  }

  __device__ __forceinline__ void Take(Sum (&sums)[kSums]) const {
    if (lane_ == 0) WaitForFlag();
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kSums / 4; ++i) {
      const uint4 four = __ldcg(sums_ + i * 128);
      Put(four.x, sums[4 * i]);
      Put(four.y, sums[4 * i + 1]);
      Put(four.z, sums[4 * i + 2]);
      Put(four.w, sums[4 * i + 3]);
    }
  }

 private:
  // Gives up after some seconds, as waits at mbarriers do: by an access that ends the kernel.
  __device__ __forceinline__ void WaitForFlag() const {
    constexpr uint32_t kTries = 1u << 25;
    uint32_t* from = flag_;
    uint32_t given = 0;
    for (uint32_t tries = 0; given == 0; ++tries) {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(given) : "l"(from) : "memory");
      if (given == 0) __nanosleep(100);
      if (tries == kTries) from = nullptr;
    }
    asm volatile("st.relaxed.gpu.global.u32 [%0], 0;" ::"l"(flag_) : "memory");
  }

  static __device__ __forceinline__ uint32_t Bits(float v) { return __float_as_uint(v); }
  static __device__ __forceinline__ uint32_t Bits(int32_t v) { return static_cast<uint32_t>(v); }
  static __device__ __forceinline__ void Put(uint32_t bits, float& v) { v = __uint_as_float(bits); }
  static __device__ __forceinline__ void Put(uint32_t bits, int32_t& v) {
    v = static_cast<int32_t>(bits);
  }

  uint32_t* flag_;
  uint4* sums_;
  int lane_;
};

}  // namespace atom::kernels::cuda
