// The exact window of a decode step's query: the newest pages of its sequence in 16 bits, a softmax
// of their own that is merged behind that of the codes before them. They are few, and read straight
// from device memory, but by teams (team_ring.cuh).
#pragma once

#include "atom/kernels/cuda/attention/decode/cursor.cuh"
#include "atom/kernels/cuda/attention/decode/step.cuh"

namespace atom::kernels::cuda::decode {

/// Heads whose query sees exact positions only belong to no stretch: a warp looks for them at every
/// `step`-th, from `next` on. Leaves `here` at one, with nothing of a stretch.
__device__ inline bool FindExactHead(const DecodeAttention& call, int& next, int step,
                                     Cursor& here) {
  while (next < call.lists.sequences * call.kv.kv_heads) {
    here.sequence = next / call.kv.kv_heads;
    here.head = next % call.kv.kv_heads;
    here.OpenSequence(call);
    next += step;
    if (here.pages == 0) {
      here.page = 0;
      return true;
    }
  }
  return false;
}

template <int kHeadDim>
class ExactWindow {
 public:
  static constexpr KvStorage kStorage = KvStorage::kF16;

  __device__ ExactWindow(const DecodeAttention& call, int sequence) : call_(call) {
    const int length = __ldg(call.lists.kv_lengths + sequence);
    pages_ = (length + kPagePositions - 1) / kPagePositions;
    first_page_ = FirstExactPage(length - 1, call.params.exact_window);
    // A sequence's list ends with its last page.
    indices_ = call.exact_lists.indices + __ldg(call.exact_lists.indptr + sequence + 1) - pages_;
    seen_ = {call.params.window > 0 ? length - call.params.window : 0, length};
  }

  /// Adds the pages to `sums`, whose first fragment of values is `first`.
  template <int kCount>
  __device__ __forceinline__ void Attend(int head, const Queries<kHeadDim>& queries, int first,
                                         Sums<kCount>& sums, int lane) const {
    for (int page = first_page_; page < pages_; ++page) {
      AttendPage(page, Page(head, page), queries, first, sums, lane);
    }
  }
  /// One of [first_page, pages), which lies at `at`.
  template <int kCount>
  __device__ __forceinline__ void AttendPage(int page, const char* at,
                                             const Queries<kHeadDim>& queries, int first,
                                             Sums<kCount>& sums, int lane) const {
    Step<kStorage, kHeadDim, 1>(call_.params, at, page * kPagePositions, seen_, lane)
        .Attend(queries, sums, first);
  }

  __device__ int first_page() const { return first_page_; }
  __device__ int pages() const { return pages_; }
  __device__ const char* Page(int head, int page) const {
    const int64_t index = __ldg(indices_ + page);
    return reinterpret_cast<const char*>(call_.exact.data) +
           (index * call_.exact.kv_heads + head) * HeadPageBytes(kStorage, kHeadDim);
  }

 private:
  const DecodeAttention& call_;
  const int32_t* indices_;  // of the sequence's page 0, though the first are not listed
  int first_page_, pages_;
  Seen seen_;
};

}  // namespace atom::kernels::cuda::decode
