// Sizes of the decode kernel. A warp has a stretch of its CTA's shared memory:
//
//   ring       [slot] pages of a step, as they lie in memory: what one head holds of two pages
//   state      the merged sums of the segments of a head so far
//   barriers   [slot] of the ring
//   stretches  what the ring was filled from and is still to be computed
#pragma once

#include "atom/kernels/cuda/attention/decode.h"
#include "atom/kernels/cuda/attention/fragments.cuh"

namespace atom::kernels::cuda::decode {

inline constexpr int kSharedBytes = 227 * 1024;  // of one CTA on sm_90

template <KvStorage kStorage, int kHeadDim>
struct Shape {
  static constexpr int kPageBytes = HeadPageBytes(kStorage, kHeadDim);
  static constexpr int kSlotBytes = kStepPages * kPageBytes;
  static constexpr int kStateBytes = PartialBytes(kHeadDim);
  static constexpr int kMaxRing = 8;
  static constexpr int kControlBytes = kMaxRing * (8 + 16) + 64;  // barriers; stretches, and slack
  // As many warps as leave each a ring that hides the memory's latency, and pages to fill it.
  static constexpr int Ring(int warps) {
    const int ring = (kSharedBytes / warps - kStateBytes - kControlBytes) / kSlotBytes;
    return ring > kMaxRing ? kMaxRing : ring;
  }
  static constexpr int kWarps = Ring(16) >= 3   ? 16
                                : Ring(12) >= 2 ? 12
                                : Ring(8) >= 2  ? 8
                                : Ring(4) >= 2  ? 4
                                                : 3;
  static constexpr int kRing = Ring(kWarps);
  static_assert(kRing >= 2);
  static constexpr int kWarpBytes = kRing * kSlotBytes + kStateBytes + kControlBytes;
};

}  // namespace atom::kernels::cuda::decode
