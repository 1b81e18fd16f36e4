// How page-heads are dealt out to warps.
//
// Stretches of all page-heads are cut at segments. The first seven eighths are dealt out in equal
// parts; the rest goes a segment at a time to whoever comes first, because SMs do not get equal
// shares of the memory's bandwidth. Where there is no more than a segment for each warp, all are
// dealt out: a queue would only cost its round trips.
#pragma once

#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/attention/fragments.cuh"

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
    first = __ldg(call.lists.indptr) * call.strands;
    end = __ldg(call.lists.indptr + call.lists.sequences) * call.strands;
    const bool few = end - first <= workers * kSegmentPages;
    dealt = few ? end : first + (end - first) / 8 * 7;
  }

  __device__ bool has_queue() const { return dealt < end; }

  __device__ int Begin(int of_worker) const {
    return first + static_cast<int>(int64_t{dealt - first} * of_worker / workers);
  }
};

}  // namespace atom::kernels::cuda::decode
