// Sizes of the decode kernel whose warps work in teams, for caches whose heads are small.
//
// What one head holds of a page is 2 KiB of INT4: too little for a copy to come at the memory's
// full rate, and warps that each fetch a head of their own ask for the heads of a page at
// different times. A team has a warp for each head of a strand, KV heads that lie side by side in
// their page, and one warp more, which fetches the strand as one stretch of memory:
//
//   page   | h0 h1 h2 … h7 | h8 … h15 | …        strand 0, strand 1, …: a copy each
//             |  |  |    |
//   warps     0  1  2 …  7                      of the team
//
// A CTA's shared memory:
//
//   rings      [team][slot][page of the step][head]   pages as they lie in memory; or some heads
//                                                     of an exact page
//   sums       [team][warp]                           of the segments of a head so far, merged
//   barriers   [team][slot] full, then [team][slot] empty
#pragma once

#include "atom/kernels/cuda/attention/decode/shape.cuh"

namespace atom::kernels::cuda::decode {

/// `kPairs`: pairs of columns that the query heads of a KV head take. Sums of two leave shared
/// memory for fewer warps.
template <KvStorage kStorage, int kHeadDim, int kPairs>
struct TeamShape {
  static_assert(kPairs == 1 || kPairs == 2);
  static constexpr int kTeams = kPairs == 1 ? 2 : 3, kTeamWarps = kPairs == 1 ? 8 : 4;
  static constexpr int kThreads = kTeams * kTeamWarps * 32 + 128;  // the last warpgroup fetches
  // Of a thread: those of the launch, dealt out anew.
  static constexpr int kLaunchRegisters = 65536 / kThreads / 8 * 8;
  static constexpr int kFetchingRegisters = 32;
  static constexpr int kComputingRegisters =
      (kThreads * kLaunchRegisters - 128 * kFetchingRegisters) / (kThreads - 128) / 8 * 8;
  static constexpr int kHeadBytes = HeadPageBytes(kStorage, kHeadDim);
  static constexpr int kPageBytes = kTeamWarps * kHeadBytes;
  static constexpr int kSlotBytes = kStepPages * kPageBytes;
  static constexpr int kExactBytes = HeadPageBytes(KvStorage::kF16, kHeadDim);
  static constexpr int kExactHeads = kSlotBytes / kExactBytes;  // of an exact page, in a slot
  static constexpr int kSumsBytes = SumsBytes(kHeadDim, 2 * kPairs);
  static constexpr int kMaxRing = 6;
  static constexpr int Ring() {
    constexpr int kRest = kSharedBytes - kTeams * (kTeamWarps * kSumsBytes + kMaxRing * 16);
    constexpr int kSlots = kRest / (kTeams * kSlotBytes);
    return kSlots > kMaxRing ? kMaxRing : kSlots;
  }
  static constexpr int kSumsOffset = kTeams * Ring() * kSlotBytes;
  static constexpr int kBarrierOffset = kSumsOffset + kTeams * kTeamWarps * kSumsBytes;
  static constexpr int kBytes = kBarrierOffset + kTeams * Ring() * 16;
  // One slot is computed while two are on their way.
  static constexpr bool kFits = HasScales(kStorage) && kHeadDim <= 128 && Ring() >= 3;
  static_assert(!HasScales(kStorage) || kExactHeads > 0);
};

/// KV heads of a strand: the last one may have fewer.
__device__ inline int HeadsOf(const DecodeAttention& call, int strand) {
  return min(call.strand_heads, call.kv.kv_heads - strand * call.strand_heads);
}

}  // namespace atom::kernels::cuda::decode
