// Sizes of the decode kernel. A warp has a stretch of its CTA's shared memory:
//
//   ring       [slot] pages of a step, as they lie in memory: what one head holds of two pages
//   state      the merged sums of the segments of a head so far; where they leave room, those that
//              the next warp goes on with behind them
//   barriers   [slot] of the ring
//   stretches  what the ring was filled from and is still to be computed
//   cut        where the warp's part begins, and the barrier of what it leaves to the next warp
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
  static constexpr int kMaxStretches = kMaxRing + 4;
  static constexpr int kCutOffset = kMaxRing * 8 + kMaxStretches * 16;  // in the control bytes
  static constexpr int kControlBytes = kCutOffset + 32;
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
  static constexpr int kStateOffset = kRing * kSlotBytes;
  static constexpr int kControlOffset = kStateOffset + kStateBytes;
  static constexpr int kWarpBytes = kControlOffset + kControlBytes;
};

}  // namespace atom::kernels::cuda::decode
