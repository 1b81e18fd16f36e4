// How a consumer warpgroup reads the ring of a streaming GEMM.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_tile.cuh"
#include "atom/kernels/cuda/ptx/mbarrier.h"

namespace atom::kernels::cuda {

/// One consumer warpgroup's walk over the slots of its way.
template <StreamShape kShape>
class StreamReader {
 public:
  __device__ StreamReader(const StreamLayout& shared, uint32_t base, int way)
      : slot_(base + kShape.ring() + way * shared.slot_bytes),
        full_(base + StreamShape::kFullBarriers + 8 * way),
        ring_bytes_(shared.slots * shared.slot_bytes),
        slots_(shared.slots),
        slot_bytes_(shared.slot_bytes),
        end_(base + kShape.ring() + ring_bytes_) {}

  /// Until the slot's bytes have landed; its address, known to the compiler as the same in all
  /// lanes.
  __device__ uint32_t Wait() const {
    ptx::MbarrierWait(full_, parity_);
    return __shfl_sync(~0u, slot_, 0);
  }
  /// This warp has read the slot.
  __device__ void Release() const {
    const uint32_t empty = full_ + StreamShape::kEmptyBarriers - StreamShape::kFullBarriers;
    if (threadIdx.x % 32 == 0) ptx::MbarrierArrive(empty);
  }
  /// To the next slot of this way.
  __device__ void Advance() {
    slot_ += kShape.ways * slot_bytes_;
    full_ += 8 * kShape.ways;
    if (slot_ >= end_) {
      slot_ -= ring_bytes_;
      full_ -= 8 * slots_;
      parity_ ^= 1;
    }
  }

 private:
  uint32_t slot_;
  uint32_t full_;
  int ring_bytes_;
  int slots_;
  int slot_bytes_;
  uint32_t end_;
  uint32_t parity_ = 0;
};

}  // namespace atom::kernels::cuda
