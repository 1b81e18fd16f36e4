// Decode: one query a sequence against its pages. Every warp works alone (for many KV heads whose
// pages are small there are teams, team_kernel.cuh): it takes stretches of all
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
#include "atom/kernels/cuda/attention/decode/team_kernel.cuh"
#include "atom/kernels/cuda/attention/dispatch.h"
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda::decode {

template <KvStorage kStorage, int kHeadDim, bool kSpread>
class Warp {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;

  __device__ Warp(const DecodeAttention& call, char* shared, int lane, int pass, const Share& share)
      : call_(call),
        lane_(lane),
        columns_{call.params.heads / call.kv.kv_heads, pass * kColumns},
        partials_(call, columns_, lane),
        ring_(call, shared, lane, share, HandsOver(share)) {}

  /// `task`: its number where merges are spread.
  __device__ void Run(int worker, int workers, int task) {
    ring_.Start();
    Cursor here;
    // Where merges are spread, they find exact windows themselves.
    int exact_head = call_.params.exact_window == 0 ? 1 << 30 : worker;
    while (true) {
      if (!here.valid()) {
        if (!ring_.empty()) {
          here = ring_.PopStretch();
        } else if (kSpread || !FindExactHead(call_, exact_head, Sizes::kWarps * gridDim.x, here)) {
          break;
        }
      }
      AttendHead(here);
    }
    ring_.Close();
    if constexpr (kSpread) {
      for (; task < partials_.MergeTasks(); task += workers) partials_.MergeShare(task);
    }
  }

 private:
  /// Whether warps hand heads over: the second half of the state has room for sums that are given,
  /// and two warps' parts for a head of average length.
  __device__ bool HandsOver(const Share& share) const {
    return !kSpread && share.has_queue() &&
           SumsBytes(kHeadDim, columns_.group) <= Sizes::kStateBytes / 2 &&
           share.workers <= 2 * call_.lists.sequences * call_.kv.kv_heads;
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
    if (!kSpread && call_.params.exact_window != 0) AttendExactly(sequence, head);
    sums_.template Write<kHeadDim>(call_, sequence, head, columns_, lane_, 0);
  }

  /// All pages in this stretch. True if the head's segments are merged in `sums_` then.
  __device__ __forceinline__ bool AttendSegments(Cursor& here) {
    const int sequence = here.sequence, head = here.head;
    const int length = __ldg(call_.lists.kv_lengths + sequence);
    const Role role = kSpread ? Role::kAlone : here.role;
    const bool merges = !kSpread || (Segments(here).count == 1 && call_.params.exact_window == 0);
    const bool whole = merges && here.IsWhole(call_, ring_.tail());
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
    if (kSpread || arrived < segments.count) return false;
    partials_.MergeAll(sequence, head, segments, sums_);
    return true;
  }

  /// This lane's sums of the segments so far, merged.
  __device__ float4* State(int offset = 0) const {
    return reinterpret_cast<float4*>(ring_.shared() + Sizes::kStateOffset + offset +
                                     columns_.Place(lane_) * LaneBytes(kHeadDim));
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
  Partials<kStorage, kHeadDim> partials_;
  PageRing<kStorage, kHeadDim, !kSpread> ring_;
  Queries<kHeadDim> queries_;
  Sums<kHeadDim / 16> sums_;
};

/// `kSpread`: merges are (partials.cuh), and nothing is left of what other launches need.
template <KvStorage kStorage, int kHeadDim, bool kSpread>
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
  Warp<kStorage, kHeadDim, kSpread> worker(call, shared + warp * Sizes::kWarpBytes, lane,
                                           blockIdx.y, share);
  if (call.lists_are_older) ptx::WaitForPredecessors();
  // Neighbouring merges go to different SMs.
  worker.Run(share.worker, share.workers, warp * blocks + block);
}

template <KvStorage kStorage, int kHeadDim, bool kSpread>
cudaError_t LaunchAs(DecodeAttention call, int multiprocessors, cudaStream_t stream) {
  using Sizes = Shape<kStorage, kHeadDim>;
  call.strand_heads = 1;
  call.strands = call.kv.kv_heads;
  const auto kernel = DecodeKernel<kStorage, kHeadDim, kSpread>;
  constexpr int kBytes = Sizes::kWarps * Sizes::kWarpBytes;
  static_assert(kBytes <= kSharedBytes);
  const cudaError_t raised =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (raised != cudaSuccess) return raised;
  const int group = call.params.heads / call.kv.kv_heads;
  const dim3 grid(multiprocessors, Passes(group));
  return LaunchDependent(kernel, grid, Sizes::kWarps * 32, kBytes, stream, call);
}

/// To be instantiated in a file of its own for each head_dim.
template <int kHeadDim>
cudaError_t Launch(const DecodeAttention& call, int multiprocessors, cudaStream_t stream) {
  return WithStorage(call.kv.storage, [&](auto storage) {
    constexpr int kWarps = Shape<storage.value, kHeadDim>::kWarps;
    if (MergeTasks(call, kHeadDim) <= 2 * kWarps * multiprocessors) {
      return LaunchAs<storage.value, kHeadDim, true>(call, multiprocessors, stream);
    }
    if constexpr (TeamShape<storage.value, kHeadDim, 1>::kFits) {
      if (TeamsSuit<storage.value, kHeadDim, 1>(call)) {
        return LaunchTeams<storage.value, kHeadDim, 1>(call, multiprocessors, stream);
      }
    }
    if constexpr (TeamShape<storage.value, kHeadDim, 2>::kFits) {
      if (TeamsSuit<storage.value, kHeadDim, 2>(call)) {
        return LaunchTeams<storage.value, kHeadDim, 2>(call, multiprocessors, stream);
      }
    }
    return LaunchAs<storage.value, kHeadDim, false>(call, multiprocessors, stream);
  });
}

}  // namespace atom::kernels::cuda::decode
