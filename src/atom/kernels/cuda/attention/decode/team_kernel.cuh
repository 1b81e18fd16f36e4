// Decode by teams of warps (team_shape.cuh): the arithmetic of kernel.cuh, head by head, where a
// team's warps take the heads of a strand and one more warp fetches its pages for all of them.
// Parts are dealt out beforehand (team_ring.cuh). A strand that lies in one part is finished there;
// of others every segment's sums go to the workspace (partials.cuh), and those of the exact window
// from the part that has the last segment.
#pragma once

#include "atom/kernels/cuda/attention/decode/partials.cuh"
#include "atom/kernels/cuda/attention/decode/step.cuh"
#include "atom/kernels/cuda/attention/decode/team_ring.cuh"
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda::decode {

template <KvStorage kStorage, int kHeadDim, int kPairs>
class TeamWarp {
 public:
  using Sizes = TeamShape<kStorage, kHeadDim, kPairs>;

  /// `warp`: of the CTA's, whose teams lie one behind the other.
  __device__ TeamWarp(const DecodeAttention& call, char* shared, int warp, int lane)
      : call_(call),
        shared_(shared),
        warp_(warp),
        lane_(lane),
        columns_{call.params.heads / call.kv.kv_heads, 0},
        partials_(call, columns_, lane),
        ring_(shared, warp / Sizes::kTeamWarps) {}

  /// `worker`: of `workers` that look for heads without codes.
  __device__ void Run(Cursor& here, int worker, int workers) {
    int exact_head = call_.params.exact_window == 0 ? 1 << 30 : worker;
    while (true) {
      if (here.valid()) {
        if (OfStrand() < HeadsOf(call_, here.head)) {
          AttendHead(here, here.head * call_.strand_heads + OfStrand());
        } else {
          Pass(here);
        }
      } else if (FindExactHead(call_, exact_head, workers, here)) {
        AttendHead(here, here.head);
      } else {
        return;
      }
    }
  }

 private:
  __device__ int OfStrand() const { return warp_ % Sizes::kTeamWarps; }

  /// A strand that has no head for this warp.
  __device__ void Pass(Cursor& here) {
    const int sequence = here.sequence, strand = here.head;
    const bool has_last = here.HasLast(call_, kTeamTail);
    do {
      ring_.Skip(1, lane_);
      here.Next(call_, kTeamTail);
    } while (here.valid() && here.sequence == sequence && here.head == strand);
    if (has_last) {
      ring_.Skip(ExactPages(call_.params.exact_window) * ring_.ExactSlots(HeadsOf(call_, strand)),
                 lane_);
    }
  }

  /// What this part has of one head of one sequence; or, at no step, one without codes.
  __device__ __forceinline__ void AttendHead(Cursor& here, int head) {
    const int sequence = here.sequence;
    const bool is_coded = here.valid();
    const bool whole = is_coded && here.IsWhole(call_, kTeamTail);
    // Of the strand, where this part has its last segment: its exact pages come in the ring.
    const int fetched = is_coded && here.HasLast(call_, kTeamTail) ? HeadsOf(call_, here.head) : 0;
    queries_.Load(call_, sequence, head, columns_, lane_);
    sums_.Begin();
    int done = 0;
    if (is_coded) done = AttendSegments(here, head, whole);
    if (whole) sums_.template Normalize<kStorage>(lane_);
    const bool is_cut = is_coded && !whole;
    if (call_.params.exact_window != 0 && (fetched > 0 || !is_coded)) {
      if (columns_.Used(lane_)) sums_.Store(Merged());
      AttendExactly(sequence, head, fetched);
      if (is_cut) {
        partials_.StoreExact(sums_, sequence, head);
      } else {
        MergeBehindMerged();
      }
    }
    if (is_cut && !MergeParts(sequence, head, done)) return;
    sums_.template Write<kHeadDim>(call_, sequence, head, columns_, lane_, 0);
  }

  /// Behind `done` segments of a head that other parts have some of, and its exact window if it was
  /// here. True if `sums_` has all of it then, to be written.
  __device__ __forceinline__ bool MergeParts(int sequence, int head, int done) {
    Cursor at;  // not kept meanwhile: registers are scarce
    at.sequence = sequence;
    at.OpenSequence(call_);
    const Segments segments(at);
    if (partials_.Arrive(sequence, head, done) < segments.count) return false;
    if constexpr (kHeadDim % 64 == 0) {
      partials_.template FinishByParts<kPairs>(sequence, head, segments);
      return false;
    }
    partials_.template MergeAll<1>(sequence, head, segments, sums_);
    sums_.template Normalize<kStorage>(lane_);
    if (call_.params.exact_window != 0) {
      if (columns_.Used(lane_)) sums_.Store(Merged());
      partials_.LoadExact(sums_, sequence, head, 0);
      MergeBehindMerged();
    }
    return true;
  }

  /// Leaves the exact window in `sums_`. `fetched`: heads of the strand, if the ring has it.
  __device__ __forceinline__ void AttendExactly(int sequence, int head, int fetched) {
    sums_.Begin();
    const ExactWindow<kHeadDim> window(call_, sequence);
    const int slot = OfStrand() / Sizes::kExactHeads;
    for (int page = window.first_page(); page < window.pages(); ++page) {
      const char* at;
      if (fetched > 0) {
        ring_.Skip(slot, lane_);
        at = ring_.Wait() + OfStrand() % Sizes::kExactHeads * Sizes::kExactBytes;
      } else {
        at = window.Page(head, page);
      }
      window.AttendPage(page, at, queries_, 0, sums_, lane_);
      if (fetched > 0) {
        ring_.Release(lane_);
        ring_.Skip(ring_.ExactSlots(fetched) - 1 - slot, lane_);
      }
    }
  }
  /// The exact window in `sums_` behind the rest.
  __device__ __forceinline__ void MergeBehindMerged() {
    const float4* before = Merged();
    sums_.MergeBehind([&](int i) { return before[i]; }, lane_);
  }

  /// Leaves the segments merged in `sums_` or, if they are not all, each in the workspace; how many
  /// there were.
  __device__ __forceinline__ int AttendSegments(Cursor& here, int head, bool whole) {
    const int sequence = here.sequence, strand = here.head;
    const int length = __ldg(call_.lists.kv_lengths + sequence);
    const Seen seen{call_.params.window > 0 ? length - call_.params.window : 0,
                    min(length, here.pages * kPagePositions)};
    const int offset = OfStrand() * Sizes::kHeadBytes;
    int done = 0;
    do {
      sums_.Begin();
      const int segment = here.page / kSegmentPages;
      bool ended = false;
      while (!ended) {
        const char* pages = ring_.Wait() + offset;
        Step<kStorage, kHeadDim, kStepPages, Sizes::kPageBytes>(
            call_.params, pages, here.page * kPagePositions, seen, lane_)
            .Attend(queries_, sums_);
        ring_.Release(lane_);
        ended = here.Next(call_, kTeamTail);
      }
      if (!whole) {
        partials_.Store(sums_, sequence, head, segment);
      } else if (columns_.Used(lane_)) {
        if (done > 0) sums_.MergeAfter(Merged());
        sums_.Store(Merged());
      }
      ++done;
    } while (here.valid() && here.sequence == sequence && here.head == strand);
    return done;
  }

  /// This lane's sums of the segments so far.
  __device__ float4* Merged() const {
    return reinterpret_cast<float4*>(shared_ + Sizes::kSumsOffset + warp_ * Sizes::kSumsBytes +
                                     columns_.Place(lane_) * LaneBytes(kHeadDim));
  }

  const DecodeAttention& call_;
  char* shared_;
  int warp_, lane_;
  Columns columns_;
  Partials<kStorage, kHeadDim> partials_;
  TeamRing<kStorage, kHeadDim, kPairs> ring_;
  Queries<kHeadDim> queries_;
  Sums<kHeadDim / 16> sums_;
};

template <KvStorage kStorage, int kHeadDim, int kPairs>
__global__ void __launch_bounds__(TeamShape<kStorage, kHeadDim, kPairs>::kThreads, 1)
    TeamKernel(const __grid_constant__ DecodeAttention call) {
  using Sizes = TeamShape<kStorage, kHeadDim, kPairs>;
  constexpr int kWarps = Sizes::kTeams * Sizes::kTeamWarps;
  extern __shared__ __align__(128) char shared[];
  ptx::LaunchDependents();
  if (!call.lists_are_older) ptx::WaitForPredecessors();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const bool fetches = warp >= kWarps;  // but not all of those have a team
  const int team = fetches ? warp % Sizes::kTeams : warp / Sizes::kTeamWarps;
  if (fetches && warp < kWarps + Sizes::kTeams && lane == 0) {
    TeamRing<kStorage, kHeadDim, kPairs>(shared, team).Init();
    ptx::FenceMbarrierInit();
  }
  // Where there are few parts they go to different SMs.
  const int blocks = static_cast<int>(gridDim.x);
  Cursor cursor =
      PartOf(call, team * blocks + static_cast<int>(blockIdx.x), Sizes::kTeams * blocks, lane);
  __syncthreads();
  if (call.lists_are_older) ptx::WaitForPredecessors();
  if (fetches) {
    ptx::ReleaseRegisters<Sizes::kFetchingRegisters>();
    if (warp >= kWarps + Sizes::kTeams) return;
    TeamRing<kStorage, kHeadDim, kPairs>(shared, team).FetchAll(call, cursor, lane);
  } else {
    ptx::AcquireRegisters<Sizes::kComputingRegisters>();
    TeamWarp<kStorage, kHeadDim, kPairs>(call, shared, warp, lane)
        .Run(cursor, warp * blocks + static_cast<int>(blockIdx.x), kWarps * blocks);
  }
}

/// Whether teams of so many pairs of columns suit the heads, and have enough of them side by side.
template <KvStorage kStorage, int kHeadDim, int kPairs>
bool TeamsSuit(const DecodeAttention& call) {
  using Sizes = TeamShape<kStorage, kHeadDim, kPairs>;
  return call.kv.kv_heads >= Sizes::kTeamWarps &&
         ColumnPairs(call.params.heads / call.kv.kv_heads) == kPairs;
}

template <KvStorage kStorage, int kHeadDim, int kPairs>
cudaError_t LaunchTeams(DecodeAttention call, int multiprocessors, cudaStream_t stream) {
  using Sizes = TeamShape<kStorage, kHeadDim, kPairs>;
  const auto kernel = TeamKernel<kStorage, kHeadDim, kPairs>;
  static_assert(Sizes::kBytes <= kSharedBytes);
  const int least = (call.kv.kv_heads + Sizes::kTeamWarps - 1) / Sizes::kTeamWarps;
  call.strand_heads = (call.kv.kv_heads + least - 1) / least;
  call.strands = (call.kv.kv_heads + call.strand_heads - 1) / call.strand_heads;
  const cudaError_t raised =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Sizes::kBytes);
  if (raised != cudaSuccess) return raised;
  const dim3 grid(multiprocessors);
  return LaunchDependent(kernel, grid, Sizes::kThreads, Sizes::kBytes, stream, call);
}

}  // namespace atom::kernels::cuda::decode
