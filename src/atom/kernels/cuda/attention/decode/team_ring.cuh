// A team's pages on their way: one warp fetches, all others wait for a slot and give it back. Both
// sides walk the same cursor, so that nothing but barriers goes between them.
#pragma once

#include "atom/kernels/cuda/attention/decode/cursor.cuh"
#include "atom/kernels/cuda/attention/decode/exact_window.cuh"
#include "atom/kernels/cuda/attention/decode/share.cuh"
#include "atom/kernels/cuda/attention/decode/team_shape.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"

namespace atom::kernels::cuda::decode {

/// Of cursors: a short last segment goes with the one before it.
inline constexpr int kTeamTail = kSegmentPages / 2;

/// At the first step of a team's part, `worker` of `workers`. Parts are as many page-strands, whole
/// strands where that costs no more than a tenth: SMs that have nothing left leave their bandwidth
/// to the others, while a strand that is cut goes through the workspace.
__device__ inline Cursor PartOf(const DecodeAttention& call, int worker, int workers, int lane) {
  const Share all(call, 0, 1);
  const int total = all.end - all.first;
  const int each = (total + workers - 1) / workers;
  const int count = call.lists.sequences * call.strands;
  const int average = (total + count - 1) / count;
  const int whole = (each + average - 1) / max(average, 1) * average;
  const int part = whole <= each + each / 10
                       ? whole
                       : (each + kSegmentPages - 1) / kSegmentPages * kSegmentPages;
  const int start = static_cast<int>(min(int64_t{part} * worker, int64_t{total}));
  Cursor cursor;
  cursor.Seek(call, all.first + start, all.first + min(start + part, total), kTeamTail, lane);
  return cursor;
}

template <KvStorage kStorage, int kHeadDim, int kPairs>
class TeamRing {
 public:
  using Sizes = TeamShape<kStorage, kHeadDim, kPairs>;

  __device__ TeamRing(char* shared, int team)
      : slots_(shared + team * Sizes::Ring() * Sizes::kSlotBytes),
        barriers_(ptx::SharedAddress(shared + Sizes::kBarrierOffset + team * Sizes::Ring() * 16)) {}

  /// By one thread, before any other call; a barrier of the CTA comes behind it.
  __device__ void Init() const {
    for (int i = 0; i < Sizes::Ring(); ++i) {
      ptx::MbarrierInit(Full(i), 1);
      ptx::MbarrierInit(Empty(i), Sizes::kTeamWarps);
    }
  }

  /// The pages of the next step, when they have come: of head i kHeadBytes · i behind.
  __device__ const char* Wait() const {
    ptx::MbarrierWait(Full(slot_), parity_);
    return slots_ + slot_ * Sizes::kSlotBytes;
  }
  /// This warp has read them.
  __device__ void Release(int lane) {
    __syncwarp();
    if (lane == 0) ptx::MbarrierArrive(Empty(slot_));
    Advance();
  }

  /// The next `slots` have nothing for this warp.
  __device__ void Skip(int slots, int lane) {
    for (; slots > 0; --slots) {
      Wait();
      Release(lane);
    }
  }

  /// Slots that an exact page of so many heads takes.
  __device__ static int ExactSlots(int heads) {
    return (heads + Sizes::kExactHeads - 1) / Sizes::kExactHeads;
  }

  /// All pages from `ahead` on, by the team's last warp. Exact ones come behind a strand's last.
  __device__ void FetchAll(const DecodeAttention& call, Cursor& ahead, int lane) {
    while (ahead.valid()) {
      const int sequence = ahead.sequence, strand = ahead.head;
      const bool exactly = call.params.exact_window != 0 && ahead.HasLast(call, kTeamTail);
      do {
        FetchSegment(call, ahead, lane);
      } while (ahead.valid() && ahead.sequence == sequence && ahead.head == strand);
      if (exactly) FetchExact(call, sequence, strand, lane);
    }
  }

 private:
  __device__ uint32_t Full(int slot) const { return barriers_ + 8 * slot; }
  __device__ uint32_t Empty(int slot) const { return barriers_ + 8 * (Sizes::Ring() + slot); }

  __device__ uint32_t Slot() const {
    return ptx::SharedAddress(slots_ + slot_ * Sizes::kSlotBytes);
  }

  __device__ void Advance() {
    if (++slot_ < Sizes::Ring()) return;
    slot_ = 0;
    parity_ ^= 1;
  }

  /// Says that `bytes` come into the next slot, as soon as it is free.
  __device__ void Open(int bytes, int lane) const {
    ptx::MbarrierWait(Empty(slot_), parity_ ^ 1);  // fresh ones are empty
    if (lane == 0) ptx::MbarrierArriveExpect(Full(slot_), bytes);
    __syncwarp();
  }

  __device__ void FetchSegment(const DecodeAttention& call, Cursor& ahead, int lane) {
    // Lane i has the number of page i of the segment.
    const int i = ahead.page / kSegmentPages * kSegmentPages + lane;
    const int page_index = i < ahead.pages ? __ldg(call.lists.indices + ahead.first_index + i) : 0;
    const int head = ahead.head * call.strand_heads;
    const int bytes = HeadsOf(call, ahead.head) * Sizes::kHeadBytes;
    bool ended = false;
    while (!ended) {
      const int place = ahead.page + lane % kStepPages;
      const bool exists = place >= ahead.first_page && place < ahead.pages;
      const int page = __shfl_sync(~0u, page_index, place % kSegmentPages);
      Open(__popc(__ballot_sync(~0u, exists) & ((1 << kStepPages) - 1)) * bytes, lane);
      if (lane < kStepPages && exists) {
        ptx::BulkLoad(Slot() + lane * Sizes::kPageBytes,
                      call.kv.data + (int64_t{page} * call.kv.kv_heads + head) * Sizes::kHeadBytes,
                      bytes, Full(slot_), ptx::CachePolicy::kEvictFirst);
      }
      Advance();
      ended = ahead.Next(call, kTeamTail);
    }
  }

  /// The strand's heads of each exact page, as many at once as a slot holds.
  __device__ void FetchExact(const DecodeAttention& call, int sequence, int strand, int lane) {
    const ExactWindow<kHeadDim> window(call, sequence);
    const int heads = HeadsOf(call, strand);
    for (int page = window.first_page(); page < window.pages(); ++page) {
      const char* from = window.Page(strand * call.strand_heads, page);
      for (int head = 0; head < heads; head += Sizes::kExactHeads) {
        const int bytes = min(Sizes::kExactHeads, heads - head) * Sizes::kExactBytes;
        Open(bytes, lane);
        if (lane == 0) {
          ptx::BulkLoad(Slot(), from + head * Sizes::kExactBytes, bytes, Full(slot_),
                        ptx::CachePolicy::kEvictFirst);
        }
        Advance();
      }
    }
  }

  char* slots_;
  uint32_t barriers_;
  int slot_ = 0, parity_ = 0;
};

}  // namespace atom::kernels::cuda::decode
