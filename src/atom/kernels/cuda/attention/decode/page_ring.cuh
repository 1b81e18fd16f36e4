// What a warp computes, and its pages on their way: bulk copies fill a ring of steps ahead of the
// arithmetic, across segments, heads and sequences.
//
// A head that begins in one warp's part and ends in that of the next one of the CTA is handed over
// in shared memory: the first warp begins with it, the second ends with it, and goes on with the
// sums that the first left. So a part is up to three stretches: the head that is given, those that
// lie in it whole, the head that is taken. Without hand-over a part is one stretch.
#pragma once

#include "atom/kernels/cuda/attention/decode/cursor.cuh"
#include "atom/kernels/cuda/attention/decode/share.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"

namespace atom::kernels::cuda::decode {

/// `kHandsOver`: it may be; where merges are spread it is not, and nothing is left of it.
template <KvStorage kStorage, int kHeadDim, bool kHandsOver>
class PageRing {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;

  /// By all warps of the CTA. `shared`: of this warp; `hands_over`: heads that two warps share, the
  /// same in all warps.
  __device__ PageRing(const DecodeAttention& call, char* shared, int lane, const Share& share,
                      bool hands_over)
      : call_(call), shared_(shared), lane_(lane) {
    if (lane_ == 0) {
      for (int i = 0; i < Sizes::kRing; ++i) ptx::MbarrierInit(Barrier(i), 1);
      if (kHandsOver) ptx::MbarrierInit(GivenBarrier(shared_), 1);
      ptx::FenceMbarrierInit();
    }
    __syncwarp();
    if (share.has_queue()) tail_ = hands_over ? kSegmentPages / 2 : kStepPages;
    ahead_.Seek(call_, share.Begin(share.worker), share.Begin(share.worker + 1), tail(), lane_);
    if (!kHandsOver || !hands_over) {
      if (ahead_.valid()) PushStretch();
      return;
    }
    part_ = 0;
    const bool taken = IsTaken(share);
    if (lane_ == 0) {
      *CutOf(shared_) = {ahead_.valid() ? ahead_.sequence : -1, ahead_.head,
                         ahead_.page / kSegmentPages * kSegmentPages,
                         taken ? ahead_.Base(call_) : -1};
      *EndOf(shared_) = share.Begin(share.worker + 1);
    }
    __syncthreads();
    NextPart();
  }

  /// Asks for the first pages. Before this nothing but page lists was looked at.
  __device__ void Start() {
    if (!ahead_.valid()) NextStretch();
    for (int i = 0; i < Sizes::kRing; ++i) Fetch(i);
  }

  __device__ char* shared() const { return shared_; }
  /// Of cursors: where merges are spread, a warp's part is short, and so are its segments.
  __device__ int tail() const { return kHandsOver ? tail_ : 0; }
  __device__ bool empty() const { return popped_ == pushed_; }

  /// At the first step of the next stretch.
  __device__ Cursor PopStretch() {
    const int4 stretch = *Stretch(popped_++);
    Cursor cursor;
    cursor.sequence = stretch.x;
    cursor.head = stretch.y / 4;
    if (kHandsOver) cursor.role = static_cast<Role>(stretch.y % 4);
    cursor.OpenSequence(call_);
    cursor.page = stretch.z;
    cursor.end = stretch.w;
    return cursor;
  }

  /// The pages of the next step, when they have come.
  __device__ const char* Wait() const {
    ptx::MbarrierWait(Barrier(slot()), turn_ >= Sizes::kRing ? 1 : 0);
    return shared_ + slot() * Sizes::kSlotBytes;
  }
  /// Its slot may be filled again.
  __device__ void Release() {
    __syncwarp();
    Fetch(slot());
    turn_ = turn_ == 2 * Sizes::kRing - 1 ? 0 : turn_ + 1;
  }

  /// What this warp has stored of the head that it gives is complete.
  __device__ void Give() {
    __syncwarp();
    if (lane_ == 0) ptx::MbarrierArrive(GivenBarrier(shared_));
  }
  /// Until that is so of the warp before.
  __device__ void WaitForGiven() const {
    ptx::MbarrierWait(GivenBarrier(shared_ - Sizes::kWarpBytes), 0);
  }

  /// The last warp leaves the queue as it was found.
  __device__ void Close() {
    if (!has_queue() || lane_ != 0) return;
    const unsigned last = Workers() - 1;
    if (atomicInc(&reinterpret_cast<unsigned&>(queue()->done), last) == last) queue()->given = 0;
  }

 private:
  static constexpr int kParts = 3;

  // Not kept in registers, which are scarce.
  __device__ static int WarpOfCta() { return threadIdx.x / 32; }
  __device__ static int Workers() { return Sizes::kWarps * gridDim.x; }
  __device__ Queue* queue() const { return reinterpret_cast<Queue*>(call_.counters) + blockIdx.y; }
  __device__ bool has_queue() const { return tail_ > 0; }

  __device__ int slot() const { return turn_ < Sizes::kRing ? turn_ : turn_ - Sizes::kRing; }
  __device__ uint32_t Barrier(int slot) const {
    return ptx::SharedAddress(shared_ + Sizes::kControlOffset + 8 * slot);
  }
  /// {sequence or −1, head, first page of its segment} where a warp's part begins; then its head's
  /// first page-head if the warp takes that head over, −1 otherwise.
  __device__ static int4* CutOf(char* warp) {
    return reinterpret_cast<int4*>(warp + Sizes::kControlOffset + Sizes::kCutOffset);
  }
  /// Where it ends.
  __device__ static int* EndOf(char* warp) { return reinterpret_cast<int*>(CutOf(warp)) + 6; }
  __device__ static uint32_t GivenBarrier(const char* warp) {
    return ptx::SharedAddress(warp + Sizes::kControlOffset + Sizes::kCutOffset + 16);
  }

  // Stretches that `ahead_` has entered and the arithmetic has not. Each has at least one page, so
  // there are no more than slots in the ring, and the one that `ahead_` is in.
  __device__ int4* Stretch(int i) const {
    return reinterpret_cast<int4*>(shared_ + Sizes::kControlOffset + 8 * Sizes::kMaxRing) +
           i % Sizes::kMaxStretches;
  }
  __device__ void PushStretch() {
    if (lane_ == 0) {
      *Stretch(pushed_) = {ahead_.sequence, 4 * ahead_.head + static_cast<int>(ahead_.role),
                           ahead_.page, ahead_.end};
    }
    ++pushed_;
    __syncwarp();
    LoadIndices();
  }

  /// Whether the head under `ahead_`, at the start of this warp's part, begins in the part of the
  /// warp before and ends in this one; and there is so much else in this one that its first sums
  /// will be there before they are asked for.
  __device__ bool IsTaken(const Share& share) const {
    if (WarpOfCta() == 0 || !ahead_.valid()) return false;
    const int given = ahead_.page - ahead_.first_page;
    const int rest = ahead_.end - ahead_.Base(call_) - ahead_.Listed(call_);
    return ahead_.page / kSegmentPages > ahead_.first_page / kSegmentPages &&
           ahead_.FirstBegin(call_) >= share.Begin(share.worker - 1) &&
           ahead_.HasLast(call_, tail()) && given <= rest + kSegmentPages;
  }

  /// `ahead_` enters the next stretch of this warp's part, if there is one.
  __device__ bool NextPart() {
    while (kHandsOver && part_ < kParts) {
      EnterPart(part_++);
      if (!ahead_.valid()) continue;
      PushStretch();
      return true;
    }
    return false;
  }

  /// What is given, what is whole, what is taken.
  __device__ void EnterPart(int part) {
    const int4 own = *CutOf(shared_);
    const bool is_last = WarpOfCta() == Sizes::kWarps - 1;
    const int4 next = is_last ? int4{0, 0, 0, -1} : *CutOf(shared_ + Sizes::kWarpBytes);
    const bool gives = next.w >= 0, takes = own.w >= 0;
    ahead_.page = ahead_.pages = 0;
    if (part == 0 ? !gives : own.x < 0 || (part == 2 && !takes)) return;
    ahead_.sequence = part == 0 ? next.x : own.x;
    ahead_.head = part == 0 ? next.y : own.y + (part == 1 && takes ? 1 : 0);
    ahead_.OpenSequence(call_);
    ahead_.page = part == 0 || (part == 1 && takes) ? 0 : own.z;
    ahead_.end = part == 2            ? own.w + ahead_.Listed(call_)
                 : part == 1 && gives ? next.w
                                      : *EndOf(shared_);
    ahead_.role = part == 0 ? Role::kGives : part == 1 ? Role::kAlone : Role::kTakes;
    ahead_.Settle(call_, tail());
  }

  /// `ahead_` enters the next stretch, of its own part or the first that begins in what the queue
  /// gives it. None where all are given.
  __device__ void NextStretch() {
    if (NextPart()) return;
    ahead_.role = Role::kAlone;
    if (!has_queue()) return;
    const Share share(call_, 0, Workers());
    while (true) {
      int given = 0;
      if (lane_ == 0) given = atomicAdd(&queue()->given, 1);
      const int64_t start = share.dealt + int64_t{__shfl_sync(~0u, given, 0)} * kSegmentPages;
      if (start >= share.end) return;
      ahead_.Seek(call_, static_cast<int>(start),
                  static_cast<int>(min(start + kSegmentPages, int64_t{share.end})), tail(), lane_);
      if (ahead_.valid()) {
        PushStretch();
        return;
      }
    }
  }

  /// Numbers of the pages of the segment that `ahead_` is in: lane i has page i of it.
  __device__ void LoadIndices() {
    const int i = ahead_.page / kSegmentPages * kSegmentPages + lane_;
    page_index_ = i < ahead_.pages ? __ldg(call_.lists.indices + ahead_.first_index + i) : 0;
  }

  /// Asks for the pages of the step under `ahead_`, and moves it on. Lanes 0 and 1 have one each.
  __device__ void Fetch(int slot) {
    if (!ahead_.valid()) return;
    const int place = ahead_.page + lane_ % kStepPages;
    const bool exists = place >= ahead_.first_page && place < ahead_.pages;
    const int page = __shfl_sync(~0u, page_index_, place % kSegmentPages);
    const int count = __popc(__ballot_sync(~0u, exists) & ((1 << kStepPages) - 1));
    if (lane_ == 0) ptx::MbarrierArriveExpect(Barrier(slot), count * Sizes::kPageBytes);
    __syncwarp();
    if (lane_ < kStepPages && exists) {
      ptx::BulkLoad(
          ptx::SharedAddress(shared_ + slot * Sizes::kSlotBytes + lane_ * Sizes::kPageBytes),
          call_.kv.data + (int64_t{page} * call_.kv.kv_heads + ahead_.head) * Sizes::kPageBytes,
          Sizes::kPageBytes, Barrier(slot), ptx::CachePolicy::kEvictFirst);
    }
    if (!ahead_.Next(call_, tail())) return;
    if (ahead_.valid()) {
      LoadIndices();
    } else {
      NextStretch();
    }
  }

  const DecodeAttention& call_;
  char* shared_;
  int lane_;
  Cursor ahead_;       // the step to fetch next
  int tail_ = 0;       // pages: where there is a queue
  int part_ = kParts;  // of this warp's share that it enters next
  int page_index_ = 0;
  int pushed_ = 0, popped_ = 0;
  int turn_ = 0;  // steps taken from the ring, modulo two laps: slot and parity
};

}  // namespace atom::kernels::cuda::decode
