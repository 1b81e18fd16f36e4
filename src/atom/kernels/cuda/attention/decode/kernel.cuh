// Decode: one query a sequence against its pages. Every warp works alone: it takes stretches of all
// (sequence, KV head, page) triples in that order, cut at segments, and has a ring of pages in
// shared memory that bulk copies fill ahead of it (page_ring.cuh):
//
//   |s0 h0 .... | s0 h1 .... | s0 h2 .... | s1 h0 .. | s1 h1 .. | s1 h2 .. | ...
//    warp 0          warp 1         warp 2         …         : a segment at a time
//
// The query heads that share a KV head are the 8 columns of an MMA whose rows are 16 positions:
// scores = K · qᵀ, out = Vᵀ · p (step.cuh). A head whose segments lie in one warp is finished
// there; of others every segment's sums go to the workspace (partials.cuh).
#pragma once

#include "atom/kernels/cuda/attention/decode/page_ring.cuh"
#include "atom/kernels/cuda/attention/decode/partials.cuh"
#include "atom/kernels/cuda/attention/decode/step.cuh"

namespace atom::kernels::cuda::decode {

template <KvStorage kStorage, int kHeadDim>
class Warp {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;

  __device__ Warp(const DecodeAttention& call, char* shared, int lane, int pass, const Share& share)
      : call_(call),
        lane_(lane),
        columns_{call.params.heads / call.kv.kv_heads, pass * kColumns},
        state_(reinterpret_cast<float4*>(shared + Sizes::kRing * Sizes::kSlotBytes) + lane),
        ring_(call, shared, lane, share, reinterpret_cast<Queue*>(call.counters) + pass),
        partials_(call, columns_, lane) {
    spread_ = partials_.Spread(share.workers);
  }

  __device__ void Run(int worker) {
    while (!ring_.empty()) {
      Cursor here = ring_.PopStretch();
      while (here.valid()) AttendHead(here);
    }
    ring_.Close();
    if (spread_) partials_.MergeShare(worker);
  }

 private:
  /// All pages of one head of one sequence that are in this stretch.
  __device__ void AttendHead(Cursor& here) {
    const int sequence = here.sequence, head = here.head;
    const int length = __ldg(call_.lists.kv_lengths + sequence);
    const Segments segments(here);
    // Whole: from the first segment seen to the last, whose first page decides.
    const int last_begin = here.first_index * call_.kv.kv_heads + head * here.pages +
                           (segments.first + segments.count - 1) * kSegmentPages;
    const bool whole = here.page == here.first_step() && last_begin < here.end &&
                       (!spread_ || segments.count == 1);
    queries_.Load(call_, sequence, head, columns_, lane_);
    const Seen seen{call_.params.window > 0 ? length - call_.params.window : 0,
                    min(length, here.pages * kPagePositions)};
    int done = 0;
    do {
      sums_.Begin();
      const int segment = here.page / kSegmentPages;
      bool ended = false;
      while (!ended) {
        const char* slot = ring_.Wait();
        Step<kStorage, kHeadDim>(call_.params, slot, here.page * kPagePositions, seen, lane_)
            .Attend(queries_, sums_);
        ring_.Release();
        ended = here.Next(call_);
      }
      if (whole) {
        if (done > 0) sums_.MergeAfter(state_);
        if (columns_.first + 2 * (lane_ % 4) < columns_.group) sums_.Store(state_);
      } else {
        partials_.Store(sums_, sequence, head, segment);
      }
      ++done;
    } while (here.valid() && here.sequence == sequence && here.head == head);
    if (!whole) {
      const int arrived = partials_.Arrive(sequence, head, done);
      if (spread_ || arrived < segments.count) return;
      partials_.MergeAll(sequence, head, segments, sums_);
    }
    sums_.template Finish<kStorage>(call_, sequence, head, columns_, lane_);
  }

  const DecodeAttention& call_;
  int lane_;
  Columns columns_;
  float4* state_;  // of a whole head: the segments so far, merged
  PageRing<kStorage, kHeadDim> ring_;
  Partials<kStorage, kHeadDim> partials_;
  bool spread_;
  Queries<kHeadDim> queries_;
  Sums<kHeadDim> sums_;
};

template <KvStorage kStorage, int kHeadDim>
__global__ void __launch_bounds__(Shape<kStorage, kHeadDim>::kWarps * 32, 1)
    DecodeKernel(const __grid_constant__ DecodeAttention call) {
  using Sizes = Shape<kStorage, kHeadDim>;
  extern __shared__ __align__(128) char shared[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  Share share;
  share.first = __ldg(call.lists.indptr) * call.kv.kv_heads;
  share.end = __ldg(call.lists.indptr + call.lists.sequences) * call.kv.kv_heads;
  share.dealt = share.first + (share.end - share.first) / 8 * 7;
  // Neighbouring stretches go to different SMs, so that few sequences still use all of them.
  share.worker = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  share.workers = Sizes::kWarps * static_cast<int>(gridDim.x);
  Warp<kStorage, kHeadDim>(call, shared + warp * Sizes::kWarpBytes, lane, blockIdx.y, share)
      .Run(share.worker);
}

template <KvStorage kStorage, int kHeadDim>
cudaError_t LaunchAs(const DecodeAttention& call, int multiprocessors, cudaStream_t stream) {
  using Sizes = Shape<kStorage, kHeadDim>;
  constexpr int kBytes = Sizes::kWarps * Sizes::kWarpBytes;
  static_assert(kBytes <= kSharedBytes);
  const cudaError_t raised = cudaFuncSetAttribute(
      DecodeKernel<kStorage, kHeadDim>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (raised != cudaSuccess) return raised;
  const int group = call.params.heads / call.kv.kv_heads;
  const dim3 grid(multiprocessors, Passes(group));
  DecodeKernel<kStorage, kHeadDim><<<grid, Sizes::kWarps * 32, kBytes, stream>>>(call);
  return cudaGetLastError();
}

/// To be instantiated in a file of its own for each head_dim.
template <int kHeadDim>
cudaError_t Launch(const DecodeAttention& call, int multiprocessors, cudaStream_t stream) {
  switch (call.kv.storage) {
    case KvStorage::kInt4:
      return LaunchAs<KvStorage::kInt4, kHeadDim>(call, multiprocessors, stream);
    case KvStorage::kInt8:
      return LaunchAs<KvStorage::kInt8, kHeadDim>(call, multiprocessors, stream);
    default:
      return LaunchAs<KvStorage::kF16, kHeadDim>(call, multiprocessors, stream);
  }
}

}  // namespace atom::kernels::cuda::decode
