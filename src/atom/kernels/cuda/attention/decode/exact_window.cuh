// The exact window of a decode step's query: the newest pages of its sequence in 16 bits, a softmax
// of their own that is merged behind that of the codes before them. Straight from device memory:
// they are few.
#pragma once

#include "atom/kernels/cuda/attention/decode/step.cuh"

namespace atom::kernels::cuda::decode {

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
      Step<kStorage, kHeadDim, 1>(call_.params, Page(head, page), page * kPagePositions, seen_,
                                  lane)
          .Attend(queries, sums, first);
    }
  }

 private:
  __device__ const char* Page(int head, int page) const {
    const int64_t index = __ldg(indices_ + page);
    return reinterpret_cast<const char*>(call_.exact.data) +
           (index * call_.exact.kv_heads + head) * HeadPageBytes(kStorage, kHeadDim);
  }

  const DecodeAttention& call_;
  const int32_t* indices_;  // of the sequence's page 0, though the first are not listed
  int first_page_, pages_;
  Seen seen_;
};

}  // namespace atom::kernels::cuda::decode
