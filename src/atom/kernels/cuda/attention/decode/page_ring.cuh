// What a warp computes, and its pages on their way: bulk copies fill a ring of steps ahead of the
// arithmetic, across segments, heads and sequences.
//
// Stretches of all page-heads are cut at segments. The first seven eighths are dealt out in equal
// stretches; the rest goes a segment at a time to whoever comes first, because SMs do not get equal
// shares of the memory's bandwidth. Where there is no more than a segment for each warp, all are
// dealt out: a queue would only cost its round trips.
#pragma once

#include "atom/kernels/cuda/attention/decode/cursor.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"

namespace atom::kernels::cuda::decode {

/// What the warps of a pass share: segments given out so far, and warps that are done.
struct Queue {
  int given, done;
};

/// A warp's part of a pass over page-heads [first, end): the `worker`-th of `workers` equal parts
/// of [first, dealt), and what the queue gives it of [dealt, end).
struct Share {
  int worker, workers;
  int first, dealt, end;

  /// Of all page-heads of the lists.
  __device__ Share(const DecodeAttention& call, int of_worker, int of_workers)
      : worker(of_worker), workers(of_workers) {
    first = __ldg(call.lists.indptr) * call.kv.kv_heads;
    end = __ldg(call.lists.indptr + call.lists.sequences) * call.kv.kv_heads;
    const bool few = end - first <= workers * kSegmentPages;
    dealt = few ? end : first + (end - first) / 8 * 7;
  }

  __device__ int Begin(int of_worker) const {
    return first + static_cast<int>(int64_t{dealt - first} * of_worker / workers);
  }
};

template <KvStorage kStorage, int kHeadDim>
class PageRing {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;

  /// `shared`: of this warp.
  __device__ PageRing(const DecodeAttention& call, char* shared, int lane, const Share& share,
                      Queue* queue)
      : call_(call), shared_(shared), lane_(lane), share_(share), queue_(queue) {
    page_bytes_ = static_cast<int64_t>(call.kv.kv_heads) * Sizes::kPageBytes;
    if (lane_ == 0) {
      for (int i = 0; i < Sizes::kRing; ++i) ptx::MbarrierInit(Barrier(i), 1);
      ptx::FenceMbarrierInit();
    }
    __syncwarp();
    ahead_.Seek(call_, share.Begin(share.worker), share.Begin(share.worker + 1), lane_);
    if (ahead_.valid()) PushStretch();
  }

  /// Asks for the first pages. Before this nothing but page lists was looked at.
  __device__ void Start() {
    if (!ahead_.valid()) NextStretch();
    for (int i = 0; i < Sizes::kRing; ++i) Fetch(i);
  }

  __device__ bool empty() const { return popped_ == pushed_; }

  /// At the first step of the next stretch.
  __device__ Cursor PopStretch() {
    const int4 stretch = *Stretch(popped_++);
    Cursor cursor;
    cursor.sequence = stretch.x;
    cursor.head = stretch.y;
    cursor.OpenSequence(call_);
    cursor.page = stretch.z;
    cursor.end = stretch.w;
    return cursor;
  }

  /// The pages of the next step, when they have come.
  __device__ const char* Wait() const {
    ptx::MbarrierWait(Barrier(slot_), parity_);
    return shared_ + slot_ * Sizes::kSlotBytes;
  }
  /// Its slot may be filled again.
  __device__ void Release() {
    __syncwarp();
    Fetch(slot_);
    if (++slot_ == Sizes::kRing) {
      slot_ = 0;
      parity_ ^= 1;
    }
  }

  /// The last warp leaves the queue as it was found.
  __device__ void Close() {
    if (share_.dealt == share_.end) return;
    if (lane_ == 0 && atomicInc(&reinterpret_cast<unsigned&>(queue_->done), share_.workers - 1) ==
                          static_cast<unsigned>(share_.workers - 1)) {
      queue_->given = 0;
    }
  }

 private:
  __device__ uint32_t Barrier(int slot) const {
    return ptx::SharedAddress(shared_ + Sizes::kRing * Sizes::kSlotBytes + Sizes::kStateBytes +
                              8 * slot);
  }

  // Stretches that `ahead_` has entered and the arithmetic has not. Each has at least one page, so
  // there are no more than slots in the ring, and the one that `ahead_` is in.
  __device__ int4* Stretch(int i) const {
    return reinterpret_cast<int4*>(shared_ + Sizes::kRing * Sizes::kSlotBytes + Sizes::kStateBytes +
                                   8 * Sizes::kMaxRing) +
           i % (Sizes::kMaxRing + 4);
  }
  __device__ void PushStretch() {
    if (lane_ == 0) *Stretch(pushed_) = {ahead_.sequence, ahead_.head, ahead_.page, ahead_.end};
    ++pushed_;
    __syncwarp();
    LoadIndices();
  }

  /// `ahead_` takes segments from the queue until it has one that begins there, or all are given.
  __device__ void NextStretch() {
    while (share_.dealt < share_.end) {
      int given = 0;
      if (lane_ == 0) given = atomicAdd(&queue_->given, 1);
      const int64_t start = share_.dealt + int64_t{__shfl_sync(~0u, given, 0)} * kSegmentPages;
      if (start >= share_.end) return;
      ahead_.Seek(call_, static_cast<int>(start),
                  static_cast<int>(min(start + kSegmentPages, int64_t{share_.end})), lane_);
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
          call_.kv.data + page * page_bytes_ + ahead_.head * Sizes::kPageBytes, Sizes::kPageBytes,
          Barrier(slot), ptx::CachePolicy::kEvictFirst);
    }
    if (!ahead_.Next(call_)) return;
    if (ahead_.valid()) {
      LoadIndices();
    } else {
      NextStretch();
    }
  }

  const DecodeAttention& call_;
  char* shared_;
  int lane_;
  Share share_;
  int64_t page_bytes_;
  Queue* queue_;
  Cursor ahead_;  // the step to fetch next
  int page_index_ = 0;
  int pushed_ = 0, popped_ = 0;
  int slot_ = 0;
  uint32_t parity_ = 0;
};

}  // namespace atom::kernels::cuda::decode
