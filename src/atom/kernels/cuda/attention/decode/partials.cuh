// Heads that several warps compute and nobody hands over: each segment's sums go to the workspace,
// and are merged in ascending order, with the arithmetic of Sums::MergeAfter. Behind a wait of one
// of two kinds:
//
//   many heads   the warp that brings a head's last segments merges all of it; the others have work
//   few heads    every warp, at its end, merges 16 channels of one head, when all have arrived:
//                a long context's merge is spread over the card instead of being one warp's
#pragma once

#include "atom/kernels/cuda/attention/decode/cursor.cuh"
#include "atom/kernels/cuda/attention/decode/exact_window.cuh"

namespace atom::kernels::cuda::decode {

/// Segments that the query of a sequence sees: [first, first + count).
struct Segments {
  int first, count;
  __device__ explicit Segments(const Cursor& at)
      : first(at.first_page / kSegmentPages),
        count(at.pages > at.first_page ? (at.pages - 1) / kSegmentPages - first + 1 : 0) {}
};

inline constexpr int kApart = 32;  // float4s from one fragment of a lane to the next

/// Segments as they lie in the workspace, some on their way at once.
template <int kFragments, int kAtOnce>
struct LoadedSegments {
  float4 out[kAtOnce][kFragments], ends[kAtOnce];

  /// `from`: fragments of the first, `from_ends`: its ends; those from `count` on are nothing.
  /// `stride`: from one segment to the next.
  __device__ __forceinline__ LoadedSegments(const float4* from, const float4* from_ends, int stride,
                                            int count) {
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const bool exists = j < count;
#pragma unroll
      for (int i = 0; i < kFragments; ++i) {
        out[j][i] = exists ? __ldcg(from + j * stride + i * kApart) : float4{0, 0, 0, 0};
      }
      ends[j] = exists ? __ldcg(from_ends + j * stride) : float4{0, 0, kNoScore, kNoScore};
    }
  }

  /// Behind what `sums` has, in ascending order. The maxima are known before any sum, so all
  /// factors are computed side by side and a sum waits for two operations a segment.
  __device__ __forceinline__ void MergeBehind(Sums<kFragments>& sums) const {
    float2 old[kAtOnce], added[kAtOnce];  // factors of columns 2t, 2t + 1
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const MergeFactors even(sums.max[0], ends[j].z), odd(sums.max[1], ends[j].w);
      old[j] = {even.old_factor, odd.old_factor};
      added[j] = {even.new_factor, odd.new_factor};
      sums.max[0] = even.max, sums.max[1] = odd.max;
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const auto even = [&](float& x, float segment) {
        x = __fmaf_rn(segment, added[j].x, __fmul_rn(x, old[j].x));
      };
      const auto odd = [&](float& x, float segment) {
        x = __fmaf_rn(segment, added[j].y, __fmul_rn(x, old[j].y));
      };
#pragma unroll
      for (int i = 0; i < kFragments; ++i) {
        even(sums.out[i][0], out[j][i].x), odd(sums.out[i][1], out[j][i].y);
        even(sums.out[i][2], out[j][i].z), odd(sums.out[i][3], out[j][i].w);
      }
      even(sums.ends[0], ends[j].x), odd(sums.ends[1], ends[j].y);
    }
  }
};

template <KvStorage kStorage, int kHeadDim>
class Partials {
 public:
  static constexpr int kFragments = kHeadDim / 16;

  __device__ Partials(const DecodeAttention& call, const Columns& columns, int lane)
      : call_(call), columns_(columns), lane_(lane) {}

  __device__ int MergeTasks() const { return decode::MergeTasks(call_, kHeadDim); }

  __device__ void Store(const Sums<kFragments>& sums, int sequence, int head, int segment) const {
    if (used()) sums.Store(At(sequence, head, segment), kApart);
  }

  /// The sums of a head's exact window, where at most two pairs of columns are used: beside those
  /// of its first segment, which leave half of their place or more.
  __device__ void StoreExact(const Sums<kFragments>& sums, int sequence, int head) const {
    if (used()) sums.Store(ExactAt(sequence, head), kApart);
  }
  /// Fragments from `first` on.
  template <int kCount>
  __device__ __forceinline__ void LoadExact(Sums<kCount>& sums, int sequence, int head,
                                            int first) const {
    const float4* from = ExactAt(sequence, head);
    sums.Load(from + first * kApart, from + kFragments * kApart, kApart);
  }

  /// Says that `done` segments more are stored; how many there are now.
  __device__ int Arrive(int sequence, int head, int done) const {
    __syncwarp();
    int before = 0;
    if (lane_ == 0) {
      // What this warp stored comes before, what others stored becomes visible after.
      asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], %2;"
                   : "=r"(before)
                   : "l"(Counter(sequence, head)), "r"(done)
                   : "memory");
    }
    return __shfl_sync(~0u, before, 0) + done;
  }

  /// By the warp that arrived last: all segments of a head, as many at once as there are registers
  /// for in the kernel whose warps work alone.
  static constexpr int kMergedAtOnce = Shape<kStorage, kHeadDim>::kWarps <= 4 && kHeadDim <= 128 ? 4
                                       : kHeadDim == 64 || kHeadDim == 128                       ? 2
                                                                           : 1;
  template <int kAtOnce = kMergedAtOnce>
  __device__ void MergeAll(int sequence, int head, const Segments& segments,
                           Sums<kFragments>& sums) const {
    if (lane_ == 0) *Counter(sequence, head) = 0;
    sums.Begin();
    if (used()) {
      const float4* partial = At(sequence, head, segments.first);
      const int step = kAtOnce * stride();
      asm("" : "+l"(partial));  // one pointer: its parts, kept apart, would take more registers
      for (int left = segments.count; left > 0; left -= kAtOnce, partial += step) {
        LoadedSegments<kFragments, kAtOnce>(partial, partial + kFragments * kApart, stride(), left)
            .MergeBehind(sums);
      }
    }
    __syncwarp();
  }

  /// The same, and the exact window behind it, normalized and written, where kPairs pairs of
  /// columns are used, one or two: the lanes without columns take part of the fragments of those
  /// with some, so that more segments are on their way at once.
  template <int kPairs>
  __device__ __forceinline__ void FinishByParts(int sequence, int head,
                                                const Segments& segments) const {
    constexpr int kParts = 4 / kPairs, kFragmentsEach = kFragments / kParts;
    static_assert(kFragments % kParts == 0);
    if (lane_ == 0) *Counter(sequence, head) = 0;
    const int first = lane_ % 4 / kPairs * kFragmentsEach;
    const int with_column = lane_ / 4 * 4 + lane_ % kPairs;
    const Partials of_column(call_, columns_, with_column);
    const float4* partial = of_column.At(sequence, head, segments.first);
    Sums<kFragmentsEach> sums;
    sums.Begin();
    for (int left = segments.count; left > 0; left -= kParts, partial += kParts * stride()) {
      LoadedSegments<kFragmentsEach, kParts>(partial + first * kApart,
                                             partial + kFragments * kApart, stride(), left)
          .MergeBehind(sums);
    }
    sums.template Normalize<kStorage>(with_column);
    if (call_.params.exact_window != 0) {
      Sums<kFragmentsEach> exact;
      of_column.LoadExact(exact, sequence, head, first);
      exact.MergeBehind([&](int i) { return sums.Part(i); }, with_column);
      sums = exact;
    }
    sums.template Write<kHeadDim>(call_, sequence, head, columns_, with_column, first);
  }

  /// At the end of a warp's own work, where merges are spread: 16 channels of a head, `task` of
  /// MergeTasks. The exact window comes first: it waits for nobody.
  __device__ void MergeShare(int task) const {
    const int index = task / kFragments, fragment = task % kFragments;
    const int head = index % call_.kv.kv_heads;
    Cursor at;
    at.sequence = index / call_.kv.kv_heads;
    at.OpenSequence(call_);
    const Segments segments(at);
    const bool has_window = call_.params.exact_window != 0;
    if (segments.count < 2 && !has_window) return;  // its warp has finished it
    Sums<1> exact, sums;
    if (has_window) {
      Queries<kHeadDim> queries;
      queries.Load(call_, at.sequence, head, columns_, lane_);
      exact.Begin();
      ExactWindow<kHeadDim>(call_, at.sequence).Attend(head, queries, fragment, exact, lane_);
    }
    sums.Begin();
    if (segments.count > 0) {
      int* counter = Counter(at.sequence, head);
      WaitFor(counter, segments.count);
      constexpr int kAtOnce = Shape<kStorage, kHeadDim>::kWarps <= 12 ? 12 : 8;
      const float4* partial = At(at.sequence, head, segments.first);
      for (int i = 0; i < segments.count && used(); i += kAtOnce, partial += kAtOnce * stride()) {
        LoadedSegments<1, kAtOnce>(partial + fragment * kApart, partial + kFragments * kApart,
                                   stride(), segments.count - i)
            .MergeBehind(sums);
      }
      __syncwarp();
      sums.template Normalize<kStorage>(lane_);
      // The last of the head's warps leaves the counter as it was found.
      if (lane_ == 0 && atomicAdd(counter, 1) + 1 == segments.count + kFragments) *counter = 0;
    }
    if (has_window) {
      exact.MergeBehind([&](int i) { return sums.Part(i); }, lane_);
      sums = exact;
    }
    sums.template Write<kHeadDim>(call_, at.sequence, head, columns_, lane_, fragment);
  }

 private:
  __device__ bool used() const { return columns_.Used(lane_); }
  __device__ int passes() const { return Passes(columns_.group); }

  __device__ int* Counter(int sequence, int head) const {
    return reinterpret_cast<int*>(call_.counters + kQueueBytes) +
           (sequence * call_.kv.kv_heads + head) * passes() + columns_.first / kColumns;
  }

  /// float4s from one segment of a head to the next.
  __device__ int stride() const {
    return passes() * PartialBytes(kHeadDim) / static_cast<int>(sizeof(float4));
  }

  /// This lane's place in what a segment leaves.
  __device__ float4* At(int sequence, int head, int segment) const {
    const int begin = __ldg(call_.lists.indptr + sequence);
    const int pages = __ldg(call_.lists.indptr + sequence + 1) - begin;
    const int64_t before =
        (static_cast<int64_t>(begin) + (kSegmentPages - 1) * sequence) / kSegmentPages;
    const int64_t of_head = (pages + kSegmentPages - 1) / kSegmentPages;
    const int64_t slot = (before * call_.kv.kv_heads + head * of_head + segment) * passes() +
                         columns_.first / kColumns;
    return reinterpret_cast<float4*>(call_.workspace + slot * PartialBytes(kHeadDim)) +
           columns_.Place(lane_);
  }

  __device__ float4* ExactAt(int sequence, int head) const {
    return At(sequence, head, 0) + 8 * ColumnPairs(columns_.group);
  }

  /// Until `count` segments have arrived; gives up after some seconds, as mbarriers do.
  __device__ void WaitFor(const int* counter, int count) const {
    int arrived = 0;
    for (uint32_t tries = 0; arrived < count; ++tries) {
      if (tries > 0) __nanosleep(100);
      if (tries > 1u << 25) __trap();
      asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(arrived) : "l"(counter) : "memory");
    }
    __syncwarp();
  }

  const DecodeAttention& call_;
  Columns columns_;
  int lane_;
};

}  // namespace atom::kernels::cuda::decode
