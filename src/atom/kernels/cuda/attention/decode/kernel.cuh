// Decode: one query a sequence against its pages. Every warp works alone: it takes stretches of all
// (sequence, KV head, page) triples in that order, cut at segments, and has a ring of pages in
// shared memory that bulk copies fill ahead of it (page_ring.cuh):
//
//   |s0 h0 .... | s0 h1 .... | s0 h2 .... | s1 h0 .. | s1 h1 .. | s1 h2 .. | ...
//    warp 0          warp 1         warp 2         …         : a segment at a time
//
// The query heads that share a KV head are the 8 columns of an MMA whose rows are 16 positions:
// scores = K · qᵀ, out = Vᵀ · p (step.cuh). A head whose segments lie in one warp, or in two
// neighbours of a CTA, is finished there; of others every segment's sums go to the workspace
// (partials.cuh).
#pragma once

#include "atom/kernels/cuda/attention/decode/page_ring.cuh"
#include "atom/kernels/cuda/attention/decode/partials.cuh"
#include "atom/kernels/cuda/attention/decode/step.cuh"
#include "atom/kernels/cuda/attention/dispatch.h"
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda::decode {

template <KvStorage kStorage, int kHeadDim>
class Warp {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;

  __device__ Warp(const DecodeAttention& call, char* shared, int lane, int pass, const Share& share)
      : call_(call),
        lane_(lane),
        columns_{call.params.heads / call.kv.kv_heads, pass * kColumns},
        state_(reinterpret_cast<float4*>(shared + Sizes::kStateOffset +
                                         columns_.Place(lane) * LaneBytes(kHeadDim))),
        partials_(call, columns_, lane),
        spread_(partials_.Spread(share.workers)),
        ring_(call, shared, lane, share,
              !spread_ && share.has_queue() && HoldsTwo(columns_.group)) {}

  /// `task`: its number where merges are spread.
  __device__ void Run(int worker, int workers, int task) {
    ring_.Start();
    Cursor here;
    // Where merges are spread, they find exact windows themselves.
    int exact_head = spread_ || call_.params.exact_window == 0 ? 1 << 30 : worker;
    while (true) {
      if (!here.valid()) {
        if (!ring_.empty()) {
          here = ring_.PopStretch();
        } else if (!FindExactHead(exact_head, workers, here)) {
          break;
        }
      }
      AttendHead(here);
    }
    ring_.Close();
    if (!spread_) return;
    for (; task < partials_.MergeTasks(); task += workers) partials_.MergeShare(task);
  }

 private:
  /// Whether the second half of the state has room for sums that are given.
  __device__ static bool HoldsTwo(int group) {
    return SumsBytes(kHeadDim, group) <= Sizes::kStateBytes / 2;
  }

  /// Heads whose query sees exact positions only belong to no stretch: a warp looks for them at
  /// every `workers`-th.
  __device__ bool FindExactHead(int& next, int workers, Cursor& here) const {
    while (next < call_.lists.sequences * call_.kv.kv_heads) {
      here.sequence = next / call_.kv.kv_heads;
      here.head = next % call_.kv.kv_heads;
      here.OpenSequence(call_);
      next += workers;
      if (Segments(here).count > 0) continue;
      here.page = here.pages = 0;
      return true;
    }
    return false;
  }

  /// What one head of one sequence has in this stretch.
  __device__ void AttendHead(Cursor& here) {
    const int sequence = here.sequence, head = here.head;
    const bool is_coded = Segments(here).count > 0;
    queries_.Load(call_, sequence, head, columns_, lane_);
    sums_.Begin();
    if (is_coded) {
      if (!AttendSegments(here)) return;
      sums_.template Normalize<kStorage>(lane_);
    }
    if (call_.params.exact_window != 0) AttendExactly(sequence, head);
    sums_.template Write<kHeadDim>(call_, sequence, head, columns_, lane_, 0);
  }

  /// All pages in this stretch. True if the head's segments are merged in `sums_` then.
  __device__ __forceinline__ bool AttendSegments(Cursor& here) {
    const int sequence = here.sequence, head = here.head;
    const int length = __ldg(call_.lists.kv_lengths + sequence);
    const Role role = here.role;
    const bool merges = !spread_ || (Segments(here).count == 1 && call_.params.exact_window == 0);
    // Whole: from the first segment seen to the last.
    const bool whole =
        merges && here.page == here.first_step() && here.LastBegin(call_, ring_.tail()) < here.end;
    const bool in_shared = whole || role != Role::kAlone;
    const Seen seen{call_.params.window > 0 ? length - call_.params.window : 0,
                    min(length, here.pages * kPagePositions)};
    int done = 0;
    do {
      sums_.Begin();
      const int segment = here.page / kSegmentPages;
      bool ended = false;
      while (!ended) {
        const char* slot = ring_.Wait();
        Step<kStorage, kHeadDim, kStepPages>(call_.params, slot, here.page * kPagePositions, seen,
                                             lane_)
            .Attend(queries_, sums_);
        ring_.Release();
        ended = here.Next(call_, ring_.tail());
      }
      if (in_shared) {
        float4* merged = role == Role::kAlone ? State() : Given(role == Role::kTakes ? -1 : 0);
        if (role == Role::kTakes && done == 0) ring_.WaitForGiven();
        if (columns_.Used(lane_)) {
          if (role == Role::kTakes || done > 0) sums_.MergeAfter(merged);
          sums_.Store(merged);
        }
      } else {
        partials_.Store(sums_, sequence, head, segment);
      }
      ++done;
    } while (here.valid() && here.sequence == sequence && here.head == head);
    if (role == Role::kGives) ring_.Give();
    if (in_shared) return role != Role::kGives;
    Cursor at;  // not kept meanwhile: registers are scarce
    at.sequence = sequence;
    at.OpenSequence(call_);
    const Segments segments(at);
    const int arrived = partials_.Arrive(sequence, head, done);
    if (spread_ || arrived < segments.count) return false;
    partials_.MergeAll(sequence, head, segments, sums_);
    return true;
  }

  /// This lane's sums of the segments so far, merged.
  __device__ float4* State(int offset = 0) const {
    return state_ + offset / static_cast<int>(sizeof(float4));
  }
  /// Of the head that this warp gives, or one `warps` further.
  __device__ float4* Given(int warps) const {
    return State(Sizes::kStateBytes / 2 + warps * Sizes::kWarpBytes);
  }

  /// Merges the exact window behind `sums_`, which are normalized.
  __device__ __forceinline__ void AttendExactly(int sequence, int head) {
    float4* state = State();
    if (columns_.Used(lane_)) sums_.Store(state);
    sums_.Begin();
    ExactWindow<kHeadDim>(call_, sequence).Attend(head, queries_, 0, sums_, lane_);
    sums_.MergeBehind([&](int i) { return state[i]; }, lane_);
  }

  const DecodeAttention& call_;
  int lane_;
  Columns columns_;
  float4* state_;
  Partials<kStorage, kHeadDim> partials_;
  bool spread_;
  PageRing<kStorage, kHeadDim> ring_;
  Queries<kHeadDim> queries_;
  Sums<kHeadDim / 16> sums_;
};

template <KvStorage kStorage, int kHeadDim>
__global__ void __launch_bounds__(Shape<kStorage, kHeadDim>::kWarps * 32, 1)
    DecodeKernel(const __grid_constant__ DecodeAttention call) {
  using Sizes = Shape<kStorage, kHeadDim>;
  extern __shared__ __align__(128) char shared[];
  ptx::LaunchDependents();
  if (!call.lists_are_older) ptx::WaitForPredecessors();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int block = static_cast<int>(blockIdx.x), blocks = static_cast<int>(gridDim.x);
  // A CTA has neighbouring stretches, so that few segments, far between, come to many SMs.
  const Share share(call, block * Sizes::kWarps + warp, Sizes::kWarps * blocks);
  Warp<kStorage, kHeadDim> worker(call, shared + warp * Sizes::kWarpBytes, lane, blockIdx.y, share);
  if (call.lists_are_older) ptx::WaitForPredecessors();
  // Neighbouring merges go to different SMs.
  worker.Run(share.worker, share.workers, warp * blocks + block);
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
  return LaunchDependent(DecodeKernel<kStorage, kHeadDim>, grid, Sizes::kWarps * 32, kBytes, stream,
                         call);
}

/// To be instantiated in a file of its own for each head_dim.
template <int kHeadDim>
cudaError_t Launch(const DecodeAttention& call, int multiprocessors, cudaStream_t stream) {
  return WithStorage(call.kv.storage, [&](auto storage) {
    return LaunchAs<storage.value, kHeadDim>(call, multiprocessors, stream);
  });
}

}  // namespace atom::kernels::cuda::decode
