// Heads whose segments more than one warp computed: each segment's sums go to the workspace, and
// are merged in ascending order, with the arithmetic of Sums::MergeAfter. Behind a wait of one of
// two kinds:
//
//   many heads   the warp that brings a head's last segments merges all of it; the others have work
//   few heads    every warp, at its end, merges 16 channels of one head, when all have arrived:
//                a long context's merge is spread over the card instead of being one warp's
#pragma once

#include "atom/kernels/cuda/attention/decode/cursor.cuh"
#include "atom/kernels/cuda/attention/decode/sums.cuh"

namespace atom::kernels::cuda::decode {

/// Segments that the query of a sequence sees: [first, first + count).
struct Segments {
  int first, count;
  __device__ explicit Segments(const Cursor& at)
      : first(at.first_page / kSegmentPages),
        count(at.pages > at.first_page ? (at.pages - 1) / kSegmentPages - first + 1 : 0) {}
};

/// Merges a segment, [kCount] fragments and its ends, behind what is in registers; the first one
/// takes its place.
template <int kCount>
__device__ __forceinline__ void MergeBehind(float (&out)[kCount][4], float (&sums)[4],
                                            float (&max)[2], const float4 (&segment)[kCount],
                                            const float4& ends, bool first) {
  const MergeFactors even(max[0], ends.z), odd(max[1], ends.w);
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const float4 x = segment[j];
    out[j][0] = first ? x.x : even(out[j][0], x.x);
    out[j][1] = first ? x.y : odd(out[j][1], x.y);
    out[j][2] = first ? x.z : even(out[j][2], x.z);
    out[j][3] = first ? x.w : odd(out[j][3], x.w);
  }
  sums[0] = first ? ends.x : even(sums[0], ends.x);
  sums[1] = first ? ends.y : odd(sums[1], ends.y);
  max[0] = first ? ends.z : even.max;
  max[1] = first ? ends.w : odd.max;
}

template <KvStorage kStorage, int kHeadDim>
class Partials {
 public:
  static constexpr int kFragments = kHeadDim / 16;

  __device__ Partials(const DecodeAttention& call, const Columns& columns, int lane)
      : call_(call), columns_(columns), lane_(lane) {}

  /// True where merges are spread over all warps of a pass.
  __device__ bool Spread(int workers) const {
    return call_.lists.sequences * call_.kv.kv_heads * kFragments <= workers;
  }

  __device__ void Store(const Sums<kHeadDim>& sums, int sequence, int head, int segment) const {
    // Columns that no query uses are lanes of their own, so nobody reads them.
    if (used()) sums.Store(At(sequence, head, segment));
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

  /// By the warp that arrived last: all segments of a head, two on their way at once.
  __device__ void MergeAll(int sequence, int head, const Segments& segments,
                           Sums<kHeadDim>& sums) const {
    if (lane_ == 0) *Counter(sequence, head) = 0;
    if (used()) {
      const float4* partial = At(sequence, head, segments.first);
      for (int i = 0; i < segments.count; i += 2, partial += 2 * stride()) {
        const Loaded even(partial);
        const Loaded odd(i + 1 < segments.count ? partial + stride() : partial);
        MergeBehind(sums.out, sums.ends, sums.max, even.out, even.ends, i == 0);
        if (i + 1 < segments.count) {
          MergeBehind(sums.out, sums.ends, sums.max, odd.out, odd.ends, false);
        }
      }
    }
    __syncwarp();
  }

  /// At the end of a warp's own work, where merges are spread: its channels of its head.
  __device__ void MergeShare(int worker) const {
    const int index = worker / kFragments, fragment = worker % kFragments;
    Cursor at;
    at.sequence = index / call_.kv.kv_heads;
    if (at.sequence >= call_.lists.sequences) return;
    at.OpenSequence(call_);
    const Segments segments(at);
    if (segments.count < 2) return;  // its warp has finished it
    const int head = index % call_.kv.kv_heads;
    WaitFor(Counter(at.sequence, head), segments.count);
    Sums<kHeadDim> sums;  // `out` is not used
    float out[1][4];
    constexpr int kAtOnce = 8;
    const float4* partial = At(at.sequence, head, segments.first);
    for (int i = 0; i < segments.count && used(); i += kAtOnce) {
      float4 values[kAtOnce][1], ends[kAtOnce];
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        const float4* from = partial + min(i + j, segments.count - 1) * stride();
        values[j][0] = __ldcg(from + fragment * 32);
        ends[j] = __ldcg(from + kFragments * 32);
      }
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        if (i + j >= segments.count) break;
        MergeBehind(out, sums.ends, sums.max, values[j], ends[j], i + j == 0);
      }
    }
    __syncwarp();
    sums.template FinishFragments<kStorage>(call_, at.sequence, head, columns_, lane_, fragment,
                                            out);
    // The last of the head's warps leaves the counter as it was found.
    if (lane_ == 0 && atomicAdd(Counter(at.sequence, head), 1) + 1 == segments.count + kFragments) {
      *Counter(at.sequence, head) = 0;
    }
  }

 private:
  struct Loaded {
    float4 out[kFragments], ends;
    __device__ __forceinline__ explicit Loaded(const float4* from) {
#pragma unroll
      for (int i = 0; i < kFragments; ++i) out[i] = __ldcg(from + i * 32);
      ends = __ldcg(from + kFragments * 32);
    }
  };

  __device__ bool used() const { return columns_.first + 2 * (lane_ % 4) < columns_.group; }
  __device__ int passes() const { return Passes(columns_.group); }

  __device__ int* Counter(int sequence, int head) const {
    return reinterpret_cast<int*>(call_.counters + kQueueBytes) +
           (sequence * call_.kv.kv_heads + head) * passes() + columns_.first / kColumns;
  }

  /// float4s from one segment of a head to the next.
  __device__ int64_t stride() const {
    return static_cast<int64_t>(passes()) * PartialBytes(kHeadDim) / sizeof(float4);
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
    return reinterpret_cast<float4*>(call_.workspace + slot * PartialBytes(kHeadDim)) + lane_;
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
