// Decode: one query a sequence against its pages. Every warp works alone: it owns an equal stretch
// of all (sequence, KV head, page) triples in that order, cut at segments, and a ring of pages in
// shared memory that bulk copies fill ahead of it, across segments, heads and sequences.
//
//   warp 0          warp 1           warp 2
//   |s0 h0 .... | s0 h1 .... | s0 h2 .... | s1 h0 .. | s1 h1 .. | ...
//
// The query heads that share a KV head are the 8 columns of an MMA whose rows are 16 positions:
// scores = K · qᵀ, out = Vᵀ · p. A head whose segments lie in one warp is finished there; of others
// every segment's sums go to the workspace, and the last warp to arrive merges them in ascending
// order, with the same arithmetic.
#pragma once

#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/attention/decode.h"
#include "atom/kernels/cuda/attention/fragments.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/matrix.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::decode {

inline constexpr int kSharedBytes = 227 * 1024;  // of one CTA on sm_90

template <KvStorage kStorage, int kHeadDim>
struct Shape {
  static constexpr int kPageBytes = HeadPageBytes(kStorage, kHeadDim);
  static constexpr int kStateBytes = PartialBytes(kHeadDim);
  // As many warps as leave each a ring that hides the memory's latency, and pages to fill it.
  static constexpr int Ring(int warps) {
    const int ring = (kSharedBytes / warps - kStateBytes - 64) / kPageBytes;
    return ring > 8 ? 8 : ring;
  }
  static constexpr int kWarps = Ring(16) >= 4 ? 16 : Ring(8) >= 3 ? 8 : 4;
  static constexpr int kRing = Ring(kWarps);
  static_assert(kRing >= 2);
  static constexpr int kWarpBytes = kRing * kPageBytes + kStateBytes + 64;  // and 8 barriers
};

/// Walks the pages of a warp's stretch. All lanes hold the same values.
struct Cursor {
  const PageLists& lists;
  int kv_heads;
  int window;
  int64_t end;  // of the stretch, in page-heads

  int sequence = 0, head = 0, page = 0;  // `page` counts within the sequence
  int first_index = 0;                   // of the sequence's pages in PageLists::indices
  int pages = 0, first_page = 0;         // of the sequence: all, and the first that the query sees
  int64_t base = 0;                      // page-heads before the sequence
  bool valid = false;

  __device__ void OpenSequence() {
    first_index = __ldg(lists.indptr + sequence);
    pages = __ldg(lists.indptr + sequence + 1) - first_index;
    base = static_cast<int64_t>(first_index) * kv_heads;
    const int length = __ldg(lists.kv_lengths + sequence);
    first_page = window > 0 && length > window ? (length - window) / kPagePositions : 0;
  }

  /// At the first segment that begins at or behind `start`.
  __device__ void Seek(int64_t start, int lane) {
    // The last sequence whose pages begin at or before start: 32 at a time.
    int low = 0, high = lists.sequences;  // in [low, high)
    while (high - low > 1) {
      const int step = (high - low + 31) / 32;
      const int probe = min(low + lane * step, high - 1);
      const bool before = static_cast<int64_t>(__ldg(lists.indptr + probe)) * kv_heads <= start;
      const int count = __popc(__ballot_sync(~0u, before));
      const int next = low + (count - 1) * step;
      high = min(min(next + step, high), lists.sequences);
      low = min(next, high - 1);
    }
    sequence = low;
    OpenSequence();
    const int64_t inside = start - base;
    head = pages > 0 ? static_cast<int>(inside / pages) : kv_heads;
    page = pages > 0 ? static_cast<int>(inside % pages) : 0;
    page = (page + kSegmentPages - 1) / kSegmentPages * kSegmentPages;
    Settle();
  }

  /// Skips to a page that exists and is seen; ends at the stretch's end, which lies between
  /// segments.
  __device__ void Settle() {
    valid = true;
    while (true) {
      if (head >= kv_heads) {
        if (++sequence >= lists.sequences) {
          valid = false;
          return;
        }
        head = 0;
        page = 0;
        OpenSequence();
        continue;
      }
      if (page >= pages) {
        ++head;
        page = 0;
        continue;
      }
      if (page % kSegmentPages == 0 && base + static_cast<int64_t>(head) * pages + page >= end) {
        valid = false;
        return;
      }
      if (page < first_page) {
        // A segment out of sight belongs to nobody; one seen in part begins at its first page seen.
        const int segment = first_page / kSegmentPages * kSegmentPages;
        page = page < segment ? min(page / kSegmentPages * kSegmentPages + kSegmentPages, segment)
                              : first_page;
        continue;
      }
      return;
    }
  }

  __device__ void Next() {
    ++page;
    if (page >= pages || page % kSegmentPages == 0) Settle();
  }
};

template <KvStorage kStorage, int kHeadDim>
class Warp {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;
  static constexpr int kFragments = kHeadDim / 16;
  static constexpr int kWords = WordsPerFragment(kStorage);

  __device__ Warp(const DecodeAttention& call, char* shared, int lane)
      : call_(call), shared_(shared), lane_(lane), g_(lane / 4), t_(lane % 4) {
    group_ = call.params.heads / call.kv.kv_heads;
    score_scale_ = call.params.scale * 1.4426950408889634f;
    page_bytes_ = static_cast<int64_t>(call.kv.kv_heads) * Sizes::kPageBytes;
  }

  __device__ void Run(int64_t start, int64_t end, int first_column) {
    first_column_ = first_column;
    const uint32_t barriers = Barrier(0);
    if (lane_ == 0) {
      for (int i = 0; i < Sizes::kRing; ++i) ptx::MbarrierInit(barriers + 8 * i, 1);
      ptx::FenceMbarrierInit();
    }
    __syncwarp();
    Cursor ahead{call_.lists, call_.kv.kv_heads, call_.params.window, end};
    ahead.Seek(start, lane_);
    Cursor here = ahead;
    if (!here.valid) return;
    for (int i = 0; i < Sizes::kRing; ++i) Fetch(ahead, i);

    int slot = 0;
    uint32_t parity = 0;
    while (here.valid) {
      // A head of a sequence: whole, or the part of it that is in this stretch.
      const int sequence = here.sequence, head = here.head;
      const int last_page = here.pages - 1, length = __ldg(call_.lists.kv_lengths + sequence);
      const int segments = last_page / kSegmentPages + 1 - here.first_page / kSegmentPages;
      const int64_t head_end = here.base + static_cast<int64_t>(head + 1) * here.pages;
      const bool from_start = here.page == here.first_page;
      // The last segment's first page decides whether all of it is in this stretch.
      const int64_t last_start = head_end - here.pages + last_page / kSegmentPages * kSegmentPages;
      const bool whole = from_start && last_start < end;
      LoadQuery(sequence, head);
      int done = 0;
      while (here.valid && here.sequence == sequence && here.head == head) {
        BeginSegment();
        const int segment = here.page / kSegmentPages;
        while (here.valid && here.sequence == sequence && here.head == head &&
               here.page / kSegmentPages == segment) {
          ptx::MbarrierWait(Barrier(slot), parity);
          const int first = here.page * kPagePositions;
          AttendPage(shared_ + slot * Sizes::kPageBytes, first, length);
          __syncwarp();
          Fetch(ahead, slot);
          if (++slot == Sizes::kRing) {
            slot = 0;
            parity ^= 1;
          }
          here.Next();
        }
        if (whole) {
          MergeIntoState(done == 0);
        } else {
          StorePartial(Partial(sequence, head, segment));
        }
        ++done;
      }
      if (whole) {
        Finish(sequence, head);  // the registers hold what was merged last
      } else if (ArriveLast(sequence, head, done, segments)) {
        MergePartials(sequence, head, last_page / kSegmentPages + 1 - segments, segments);
        Finish(sequence, head);
      }
    }
  }

 private:
  __device__ uint32_t Barrier(int slot) const {
    return ptx::SharedAddress(shared_ + Sizes::kRing * Sizes::kPageBytes + Sizes::kStateBytes +
                              8 * slot);
  }

  /// Asks for the page under `cursor`, and moves it on.
  __device__ void Fetch(Cursor& cursor, int slot) {
    if (!cursor.valid) return;
    // Page numbers come 32 at a time.
    const int chunk = cursor.page / 32;
    if (cursor.sequence != index_sequence_ || chunk != index_chunk_) {
      index_sequence_ = cursor.sequence;
      index_chunk_ = chunk;
      const int i = chunk * 32 + lane_;
      page_index_ = i < cursor.pages ? __ldg(call_.lists.indices + cursor.first_index + i) : 0;
    }
    const int page = __shfl_sync(~0u, page_index_, cursor.page % 32);
    if (lane_ == 0) {
      ptx::MbarrierArriveExpect(Barrier(slot), Sizes::kPageBytes);
      ptx::BulkLoad(ptx::SharedAddress(shared_ + slot * Sizes::kPageBytes),
                    call_.kv.data + page * page_bytes_ +
                        static_cast<int64_t>(cursor.head) * Sizes::kPageBytes,
                    Sizes::kPageBytes, Barrier(slot), ptx::CachePolicy::kEvictFirst);
    }
    cursor.Next();
  }

  __device__ int64_t QueryRow(int sequence) const {
    return call_.rows != nullptr ? __ldg(call_.rows + sequence) : sequence;
  }

  /// The B operand: column g is query head g of this pass, zero if there is none.
  __device__ void LoadQuery(int sequence, int head) {
    const int column = first_column_ + g_;
    const bool used = column < group_;
    const void* row = RowAt(call_.q, QueryRow(sequence),
                            static_cast<int64_t>(head * group_ + (used ? column : 0)) * kHeadDim);
    float sums[4] = {0, 0, 0, 0};
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float2 pair = LoadPair(row, call_.q.type, 16 * s + 8 * half + 2 * t_);
        q_[s][half] = used ? Bits(__floats2half2_rn(pair.x, pair.y)) : 0;
      }
      // Σ q, by the tensor core too: every row of the result is the sum of a column.
      constexpr uint32_t kOnes = 0x3C003C00u;
      ptx::MmaF16(sums, kOnes, kOnes, kOnes, kOnes, q_[s][0], q_[s][1]);
    }
    q_sum_[0] = sums[0];
    q_sum_[1] = sums[1];
  }

  __device__ void BeginSegment() {
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) out_[i][j] = 0;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) sums_[j] = 0;
    max_[0] = max_[1] = kNoScore;
  }

  /// Words [kFirst, kFirst + kCount) of this lane, in loads as wide as they lie.
  template <int kFirst, int kCount>
  __device__ __forceinline__ void LoadWords(const char* page, uint32_t* words) const {
    constexpr int kPerLane = WordsPerLane(kStorage, kHeadDim);
    if constexpr (kCount > 0) {
      constexpr bool kFour = kFirst % 4 == 0 && kCount >= 4 && kPerLane - kFirst >= 4;
      constexpr bool kTwo = !kFour && kFirst % 2 == 0 && kCount >= 2;
      constexpr int kTaken = kFour ? 4 : kTwo ? 2 : 1;
      const char* at = page + WordOffset(kPerLane, kFirst, lane_);
      if constexpr (kFour) {
        const uint4 four = *reinterpret_cast<const uint4*>(at);
        words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w;
      } else if constexpr (kTwo) {
        const uint2 two = *reinterpret_cast<const uint2*>(at);
        words[0] = two.x, words[1] = two.y;
      } else {
        words[0] = *reinterpret_cast<const uint32_t*>(at);
      }
      LoadWords<kFirst + kTaken, kCount - kTaken>(page, words + kTaken);
    }
  }

  /// Sixteen positions from `first` on, of which those in [length - window, length) are seen.
  __device__ __forceinline__ void AttendPage(const char* page, int first, int length) {
    float scores[4] = {0, 0, 0, 0};  // (position g, columns 2t, 2t + 1), (g + 8, the same)
    {
      // Fragments by fours, so that few words are in registers at a time.
      constexpr int kStep = kStorage == KvStorage::kInt4 ? kFragments : 4 / kWords;
      ForEachFragment<0, kFragments, kStep>(page, [&](int s, const uint32_t(&a)[4]) {
        ptx::MmaF16(scores, a[0], a[2], a[1], a[3], q_[s][0], q_[s][1]);
      });
    }
    const __half* scales = reinterpret_cast<const __half*>(page + ScaleOffset(kStorage, kHeadDim));
    float a[2] = {score_scale_, score_scale_}, b[2] = {0, 0};
    if constexpr (HasScales(kStorage)) {
      const KeyTerms<kStorage> low(scales[g_], scales[16 + g_], score_scale_);
      const KeyTerms<kStorage> high(scales[g_ + 8], scales[24 + g_], score_scale_);
      a[0] = low.a, a[1] = high.a, b[0] = low.b, b[1] = high.b;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      scores[i] = Score(scores[i], a[i / 2], b[i / 2], q_sum_[i % 2]);
    }
    if (call_.params.softcap > 0) {
      const float cap = call_.params.softcap * 1.4426950408889634f;
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[i] = Softcap(scores[i], cap);
    }
    const int window_start =
        call_.params.window > 0 ? length - call_.params.window : 0;  // may be negative
    const bool partial = first + kPagePositions > length;
    if (partial || first < window_start) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int position = first + g_ + 8 * (i / 2);
        if (position >= length || position < window_start) scores[i] = -INFINITY;
      }
    }
    RaiseMax(scores);
    // p, rounded to fp16, with positions across: the B operand of both products.
    const __half2 low =
        __floats2half2_rn(ptx::Exp2(scores[0] - max_[0]), ptx::Exp2(scores[1] - max_[1]));
    const __half2 high =
        __floats2half2_rn(ptx::Exp2(scores[2] - max_[0]), ptx::Exp2(scores[3] - max_[1]));
    const uint32_t p0 = ptx::MovMatrixTrans(Bits(low)), p1 = ptx::MovMatrixTrans(Bits(high));

    // Of a page that is not full, what lies behind its positions may be anything.
    uint32_t keep0 = ~0u, keep1 = ~0u;
    if (partial) {
      keep0 = PairMask(first + 2 * t_, length);
      keep1 = PairMask(first + 8 + 2 * t_, length);
    }
    uint32_t weighted0 = p0, weighted1 = p1;
    uint32_t extra0 = 0x3C003C00u, extra1 = 0x3C003C00u;  // row 0: ones
    if constexpr (HasScales(kStorage)) {
      const uint32_t* words = reinterpret_cast<const uint32_t*>(scales);
      const uint32_t scale0 = words[16 + t_] & keep0, scale1 = words[20 + t_] & keep1;
      weighted0 = Bits(__hmul2(AsHalf2(p0), AsHalf2(scale0)));
      weighted1 = Bits(__hmul2(AsHalf2(p1), AsHalf2(scale1)));
      if (g_ == 1) extra0 = words[24 + t_] & keep0, extra1 = words[28 + t_] & keep1;  // offsets
      if (g_ == 2) extra0 = scale0, extra1 = scale1;
    }
    if (g_ > (HasScales(kStorage) ? 2 : 0)) extra0 = extra1 = 0;
    ptx::MmaF16(sums_, extra0, 0, extra1, 0, p0, p1);
    constexpr int kStep = kStorage == KvStorage::kInt4 ? kFragments : 4 / kWords;
    ForEachFragment<kFragments, 2 * kFragments, kStep>(page, [&](int i, const uint32_t(&v)[4]) {
      if constexpr (HasScales(kStorage)) {
        ptx::MmaF16(out_[i - kFragments], v[0], v[1], v[2], v[3], weighted0, weighted1);
      } else {
        ptx::MmaF16(out_[i - kFragments], v[0] & keep0, v[1] & keep0, v[2] & keep1, v[3] & keep1,
                    weighted0, weighted1);
      }
    });
  }

  /// Calls body(fragment, its values), for fragments [kFirst, kEnd), reading kStep of them at once.
  template <int kFirst, int kEnd, int kStep, class Body>
  __device__ __forceinline__ void ForEachFragment(const char* page, const Body& body) const {
    if constexpr (kFirst < kEnd) {
      constexpr int kCount = kFirst + kStep <= kEnd ? kStep : kEnd - kFirst;
      uint32_t words[kCount * kWords];
      LoadWords<kFirst * kWords, kCount * kWords>(page, words);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        uint32_t values[4];
        UnpackFragment<kStorage>(words + i * kWords, values);
        body(kFirst + i, values);
      }
      ForEachFragment<kFirst + kCount, kEnd, kStep>(page, body);
    }
  }

  /// All ones in the halves whose position (first, first + 1) is below length.
  static __device__ __forceinline__ uint32_t PairMask(int first, int length) {
    return (first < length ? 0x0000FFFFu : 0u) | (first + 1 < length ? 0xFFFF0000u : 0u);
  }

  __device__ __forceinline__ void RaiseMax(const float (&scores)[4]) {
    float page_max[2] = {fmaxf(scores[0], scores[2]), fmaxf(scores[1], scores[3])};
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) {
      page_max[0] = fmaxf(page_max[0], __shfl_xor_sync(~0u, page_max[0], distance));
      page_max[1] = fmaxf(page_max[1], __shfl_xor_sync(~0u, page_max[1], distance));
    }
    const bool raise0 = page_max[0] > max_[0] + kMaxSlack;
    const bool raise1 = page_max[1] > max_[1] + kMaxSlack;
    if (!__any_sync(~0u, raise0 || raise1)) return;
    const float new0 = raise0 ? page_max[0] : max_[0], new1 = raise1 ? page_max[1] : max_[1];
    const float factor0 = ptx::Exp2(max_[0] - new0), factor1 = ptx::Exp2(max_[1] - new1);
    max_[0] = new0, max_[1] = new1;
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      out_[i][0] *= factor0, out_[i][1] *= factor1, out_[i][2] *= factor0, out_[i][3] *= factor1;
    }
    sums_[0] *= factor0, sums_[1] *= factor1;
  }

  // A partial: [fragment][lane] float4 of `out_`, then [lane] float4 of sums and maxima.
  __device__ float4* State() const {
    return reinterpret_cast<float4*>(shared_ + Sizes::kRing * Sizes::kPageBytes);
  }
  __device__ float4 Ends() const { return {sums_[0], sums_[1], max_[0], max_[1]}; }

  /// These registers into what is at `from`, which comes before them.
  __device__ void MergeAfter(const float4* from) {
    const float4 ends = from[kFragments * 32 + lane_];
    const MergeFactors even(ends.z, max_[0]), odd(ends.w, max_[1]);
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const float4 old = from[i * 32 + lane_];
      out_[i][0] = even(old.x, out_[i][0]);
      out_[i][1] = odd(old.y, out_[i][1]);
      out_[i][2] = even(old.z, out_[i][2]);
      out_[i][3] = odd(old.w, out_[i][3]);
    }
    sums_[0] = even(ends.x, sums_[0]);
    sums_[1] = odd(ends.y, sums_[1]);
    max_[0] = even.max, max_[1] = odd.max;
  }

  __device__ void StorePartial(float4* to) const {
    // Columns that no query uses are not stored. They are lanes of their own, so nobody reads them.
    if (first_column_ + 2 * t_ >= group_) return;
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      to[i * 32 + lane_] = {out_[i][0], out_[i][1], out_[i][2], out_[i][3]};
    }
    to[kFragments * 32 + lane_] = Ends();
  }

  __device__ void LoadPartial(const float4* from) {
    if (first_column_ + 2 * t_ >= group_) return;
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const float4 old = __ldcg(from + i * 32 + lane_);
      out_[i][0] = old.x, out_[i][1] = old.y, out_[i][2] = old.z, out_[i][3] = old.w;
    }
    const float4 ends = __ldcg(from + kFragments * 32 + lane_);
    sums_[0] = ends.x, sums_[1] = ends.y, max_[0] = ends.z, max_[1] = ends.w;
  }

  __device__ void MergeIntoState(bool first) {
    if (!first) MergeAfter(State());
    StorePartial(State());
  }

  __device__ float4* Partial(int sequence, int head, int segment) const {
    const int64_t before = (static_cast<int64_t>(__ldg(call_.lists.indptr + sequence)) +
                            (kSegmentPages - 1) * sequence) /
                           kSegmentPages;
    const int64_t passes = Passes(group_);
    const int64_t of_sequence = (__ldg(call_.lists.indptr + sequence + 1) -
                                 __ldg(call_.lists.indptr + sequence) + kSegmentPages - 1) /
                                kSegmentPages;
    const int64_t slot = (before * call_.kv.kv_heads + head * of_sequence + segment) * passes +
                         first_column_ / kColumns;
    const int64_t counters = CounterBytes(call_.lists.sequences, call_.kv.kv_heads, group_);
    return reinterpret_cast<float4*>(call_.workspace + counters + slot * Sizes::kStateBytes);
  }

  /// True in the warp that brings the head's last segments.
  __device__ bool ArriveLast(int sequence, int head, int done, int segments) const {
    __syncwarp();
    int before = 0;
    if (lane_ == 0) {
      const int passes = Passes(group_);
      int* counter = reinterpret_cast<int*>(call_.workspace) +
                     (sequence * call_.kv.kv_heads + head) * passes + first_column_ / kColumns;
      __threadfence();
      before = atomicAdd(counter, done);
      __threadfence();
      if (before + done == segments) *counter = 0;
    }
    return __shfl_sync(~0u, before, 0) + done == segments;
  }

  __device__ void MergePartials(int sequence, int head, int first_segment, int segments) {
    const float4* partial = Partial(sequence, head, first_segment);
    LoadPartial(partial);
    // The state holds what is merged so far; the registers the segment behind it.
    const int64_t stride =
        static_cast<int64_t>(Passes(group_)) * Sizes::kStateBytes / sizeof(float4);
    for (int i = 1; i < segments; ++i) {
      StorePartial(State());
      LoadPartial(partial + i * stride);
      MergeAfter(State());
    }
  }

  __device__ void Finish(int sequence, int head) const {
    const int64_t row = QueryRow(sequence);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const Normalizer<kStorage> normalize(__shfl_sync(~0u, sums_[j], t_),
                                           __shfl_sync(~0u, sums_[j], 4 + t_),
                                           __shfl_sync(~0u, sums_[j], 8 + t_));
      const int column = first_column_ + 2 * t_ + j;
      if (column >= group_) continue;
      void* out =
          MutableRowAt(call_.out, row, static_cast<int64_t>(head * group_ + column) * kHeadDim);
#pragma unroll
      for (int i = 0; i < kFragments; ++i) {
        StoreValue(out, call_.out.type, 16 * i + g_, normalize(out_[i][j]));
        StoreValue(out, call_.out.type, 16 * i + 8 + g_, normalize(out_[i][2 + j]));
      }
    }
  }

  const DecodeAttention& call_;
  char* shared_;
  int lane_, g_, t_;
  int group_;
  int first_column_ = 0;
  float score_scale_;
  int64_t page_bytes_;
  int index_sequence_ = -1, index_chunk_ = -1, page_index_ = 0;

  uint32_t q_[kFragments][2];
  float q_sum_[2];
  float out_[kFragments][4];
  float sums_[4];
  float max_[2];
};

template <KvStorage kStorage, int kHeadDim>
__global__ void __launch_bounds__(Shape<kStorage, kHeadDim>::kWarps * 32, 1)
    DecodeKernel(const __grid_constant__ DecodeAttention call) {
  using Sizes = Shape<kStorage, kHeadDim>;
  extern __shared__ __align__(128) char shared[];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t page_heads =
      static_cast<int64_t>(__ldg(call.lists.indptr + call.lists.sequences)) * call.kv.kv_heads;
  // Neighbouring stretches go to different SMs, so that few sequences still use all of them.
  const int64_t worker = static_cast<int64_t>(warp) * gridDim.x + blockIdx.x;
  const int64_t workers = static_cast<int64_t>(Sizes::kWarps) * gridDim.x;
  Warp<kStorage, kHeadDim> body(call, shared + warp * Sizes::kWarpBytes, lane);
  body.Run(page_heads * worker / workers, page_heads * (worker + 1) / workers,
           kColumns * blockIdx.y);
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
