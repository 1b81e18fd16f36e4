// Decode: one query a sequence against its pages. Every warp works alone: it takes stretches of all
// (sequence, KV head, page) triples in that order, cut at segments, and has a ring of pages in
// shared memory that bulk copies fill ahead of it, across segments, heads and sequences.
//
//   |s0 h0 .... | s0 h1 .... | s0 h2 .... | s1 h0 .. | s1 h1 .. | s1 h2 .. | ...
//    warp 0          warp 1         warp 2         …         : a segment at a time
//
// The first seven eighths are dealt out in equal stretches; the rest goes a segment at a time to
// whoever comes first, because SMs do not get equal shares of the memory's bandwidth.
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
  static constexpr int kSlotBytes = kStepPages * kPageBytes;
  static constexpr int kStateBytes = PartialBytes(kHeadDim);
  static constexpr int kMaxRing = 8;
  static constexpr int kControlBytes = kMaxRing * (8 + 16) + 64;  // barriers; stretches, and slack
  // As many warps as leave each a ring that hides the memory's latency, and pages to fill it.
  static constexpr int Ring(int warps) {
    const int ring = (kSharedBytes / warps - kStateBytes - kControlBytes) / kSlotBytes;
    return ring > kMaxRing ? kMaxRing : ring;
  }
  static constexpr int kWarps = Ring(16) >= 3   ? 16
                                : Ring(12) >= 2 ? 12
                                : Ring(8) >= 2  ? 8
                                : Ring(4) >= 2  ? 4
                                                : 3;
  static constexpr int kRing = Ring(kWarps);
  static_assert(kRing >= 2);
  static constexpr int kWarpBytes = kRing * kSlotBytes + kStateBytes + kControlBytes;
};

/// Walks the steps of a stretch. All lanes hold the same values. Page-heads are counted through:
/// first_index · kv_heads + head · pages + page.
struct Cursor {
  int sequence = 0, head = 0, page = 0;  // `page`, the step's first, counts within the sequence
  int pages = 0, first_page = 0;         // of the sequence: to its end, the first that is seen
  int first_index = 0;                   // of the sequence's pages in PageLists::indices
  int end = 0;                           // of the stretch, in page-heads

  __device__ bool valid() const { return page < pages; }

  __device__ void OpenSequence(const DecodeAttention& call) {
    first_index = __ldg(call.lists.indptr + sequence);
    pages = __ldg(call.lists.indptr + sequence + 1) - first_index;
    const int length = __ldg(call.lists.kv_lengths + sequence), window = call.params.window;
    pages = min(pages, FirstExactPage(length - 1, call.params.exact_window));
    first_page = window > 0 && length > window ? (length - window) / kPagePositions : 0;
  }

  /// At the first segment that begins at or behind page-head `start`, and before `stop`.
  __device__ void Seek(const DecodeAttention& call, int start, int stop, int lane) {
    end = stop;
    // The last sequence whose pages begin at or before start: 32 at a time.
    int low = 0, high = call.lists.sequences;  // in [low, high)
    while (high - low > 1) {
      const int step = (high - low + 31) / 32;
      const int probe = min(low + lane * step, high - 1);
      const bool before = __ldg(call.lists.indptr + probe) * call.kv.kv_heads <= start;
      const int count = __popc(__ballot_sync(~0u, before));
      const int next = low + (count - 1) * step;
      high = min(next + step, high);
      low = min(next, high - 1);
    }
    sequence = low;
    OpenSequence(call);
    const int inside = start - first_index * call.kv.kv_heads;
    head = pages > 0 ? inside / pages : call.kv.kv_heads;
    page = pages > 0 ? inside % pages : 0;
    page = (page + kSegmentPages - 1) / kSegmentPages * kSegmentPages;
    Settle(call);
  }

  /// The first step that the query sees.
  __device__ int first_step() const { return first_page / kStepPages * kStepPages; }

  /// Skips to a step that exists and is seen; ends at the stretch's end, which lies between
  /// segments.
  __device__ void Settle(const DecodeAttention& call) {
    while (true) {
      if (head >= call.kv.kv_heads) {
        if (++sequence >= call.lists.sequences) break;
        head = page = 0;
        OpenSequence(call);
        continue;
      }
      if (page >= pages) {
        ++head;
        page = 0;
        continue;
      }
      const int begin = first_index * call.kv.kv_heads + head * pages + page;
      if (page % kSegmentPages == 0 && begin >= end) break;
      if (page >= first_step()) return;
      // A segment out of sight belongs to nobody; one seen in part begins at its first step seen.
      const int segment = first_page / kSegmentPages * kSegmentPages;
      page = page < segment ? page / kSegmentPages * kSegmentPages + kSegmentPages : first_step();
    }
    page = pages = 0;
  }

  /// True if the next step is the first of a segment, or there is none.
  __device__ bool Next(const DecodeAttention& call) {
    page += kStepPages;
    if (page < pages && page % kSegmentPages != 0) return false;
    Settle(call);
    return true;
  }
};

/// What warps share: segments given out so far, and warps that are done.
struct Queue {
  int given, done;
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

  /// Page-heads [0, dealt) are dealt out to `workers` warps, [dealt, all) given out by the queue.
  __device__ void Run(int worker, int workers, int dealt, int all, int pass) {
    first_column_ = pass * kColumns;
    dealt_ = dealt;
    all_ = all;
    queue_ = reinterpret_cast<Queue*>(call_.workspace) + pass;
    if (lane_ == 0) {
      for (int i = 0; i < Sizes::kRing; ++i) ptx::MbarrierInit(Barrier(i), 1);
      ptx::FenceMbarrierInit();
    }
    __syncwarp();
    ahead_.Seek(call_, static_cast<int>(int64_t{dealt} * worker / workers),
                static_cast<int>(int64_t{dealt} * (worker + 1) / workers), lane_);
    if (ahead_.valid()) {
      PushStretch();
    } else {
      NextStretch();
    }
    for (int i = 0; i < Sizes::kRing; ++i) Fetch(i);
    while (popped_ < pushed_) {
      Cursor here = PopStretch();
      while (here.valid()) AttendHead(here);
    }
    // The last warp leaves the queue as it was found.
    if (lane_ == 0 && atomicInc(&reinterpret_cast<unsigned&>(queue_->done), workers - 1) ==
                          static_cast<unsigned>(workers - 1)) {
      queue_->given = 0;
    }
  }

 private:
  __device__ uint32_t Barrier(int slot) const {
    return ptx::SharedAddress(shared_ + Sizes::kRing * Sizes::kSlotBytes + Sizes::kStateBytes +
                              8 * slot);
  }

  // Stretches that `ahead_` has entered and the arithmetic has not. Each has at least one page, so
  // there are no more than slots in the ring, and the one that `ahead_` is in.
  __device__ int4* Stretch(int i) const {
    return reinterpret_cast<int4*>(shared_ + Sizes::kRing * Sizes::kSlotBytes + Sizes::kStateBytes +
                                   8 * Sizes::kMaxRing) +
           i % (Sizes::kMaxRing + 4);
  }
  __device__ void PushStretch() {
    if (lane_ == 0) *Stretch(pushed_) = {ahead_.sequence, ahead_.head, ahead_.page, ahead_.end};
    ++pushed_;
    __syncwarp();
    LoadIndices();
  }
  __device__ Cursor PopStretch() {
    const int4 stretch = *Stretch(popped_++);
    Cursor cursor;
    cursor.sequence = stretch.x;
    cursor.head = stretch.y;
    cursor.OpenSequence(call_);
    cursor.page = stretch.z;
    cursor.end = stretch.w;
    return cursor;
  }

  /// `ahead_` takes segments from the queue until it has one that begins there, or all are given.
  __device__ void NextStretch() {
    while (true) {
      int given = 0;
      if (lane_ == 0) given = atomicAdd(&queue_->given, 1);
      const int64_t start = dealt_ + int64_t{__shfl_sync(~0u, given, 0)} * kSegmentPages;
      if (start >= all_) return;
      ahead_.Seek(call_, static_cast<int>(start),
                  static_cast<int>(min(start + kSegmentPages, int64_t{all_})), lane_);
      if (ahead_.valid()) break;
    }
    PushStretch();
  }

  /// Numbers of the pages of the segment that `ahead_` is in: lane i has page i of it.
  __device__ void LoadIndices() {
    const int i = ahead_.page / kSegmentPages * kSegmentPages + lane_;
    page_index_ = i < ahead_.pages ? __ldg(call_.lists.indices + ahead_.first_index + i) : 0;
  }

  /// Asks for the pages of the step under `ahead_`, and moves it on. Lanes 0 and 1 have one each.
  __device__ void Fetch(int slot) {
    if (!ahead_.valid()) return;
    const int place = ahead_.page + lane_ % kStepPages;
    const bool exists = place >= ahead_.first_page && place < ahead_.pages;
    const int page = __shfl_sync(~0u, page_index_, place % kSegmentPages);
    const int count = __popc(__ballot_sync(~0u, exists) & ((1 << kStepPages) - 1));
    if (lane_ == 0) ptx::MbarrierArriveExpect(Barrier(slot), count * Sizes::kPageBytes);
    __syncwarp();
    if (lane_ < kStepPages && exists) {
      ptx::BulkLoad(
          ptx::SharedAddress(shared_ + slot * Sizes::kSlotBytes + lane_ * Sizes::kPageBytes),
          call_.kv.data + page * page_bytes_ + ahead_.head * Sizes::kPageBytes, Sizes::kPageBytes,
          Barrier(slot), ptx::CachePolicy::kEvictFirst);
    }
    if (!ahead_.Next(call_)) return;
    if (ahead_.valid()) {
      LoadIndices();
    } else {
      NextStretch();
    }
  }

  /// All pages of one head of one sequence that are in this stretch.
  __device__ void AttendHead(Cursor& here) {
    const int sequence = here.sequence, head = here.head;
    const int length = __ldg(call_.lists.kv_lengths + sequence);
    const int first_segment = here.first_page / kSegmentPages;
    const int last_segment = (here.pages - 1) / kSegmentPages;
    // Whole: from the first segment seen to the last, whose first page decides.
    const int last_begin =
        here.first_index * call_.kv.kv_heads + head * here.pages + last_segment * kSegmentPages;
    const bool whole = here.page == here.first_step() && last_begin < here.end;
    LoadQuery(sequence, head);
    const int end = min(length, here.pages * kPagePositions);
    const int seen = call_.params.window > 0 ? length - call_.params.window : 0;
    int done = 0;
    do {
      BeginSegment();
      const int segment = here.page / kSegmentPages;
      bool ended = false;
      while (!ended) {
        ptx::MbarrierWait(Barrier(slot_), parity_);
        AttendStep(shared_ + slot_ * Sizes::kSlotBytes, here.page * kPagePositions, seen, end);
        __syncwarp();
        Fetch(slot_);
        if (++slot_ == Sizes::kRing) {
          slot_ = 0;
          parity_ ^= 1;
        }
        ended = here.Next(call_);
      }
      if (whole) {
        MergeIntoState(done == 0);
      } else {
        StorePartial(Partial(sequence, head, segment));
      }
      ++done;
    } while (here.valid() && here.sequence == sequence && here.head == head);
    const int segments = last_segment - first_segment + 1;
    if (whole) {
      Finish(sequence, head);  // the registers hold what was merged last
    } else if (ArriveLast(sequence, head, done, segments)) {
      MergePartials(sequence, head, first_segment, segments);
      Finish(sequence, head);
    }
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
    // One branch for all loads, so that they are in flight together.
    switch (call_.q.type) {
      case RowType::kF16:
        LoadQueryAs<RowType::kF16>(row);
        break;
      case RowType::kBF16:
        LoadQueryAs<RowType::kBF16>(row);
        break;
      default:
        LoadQueryAs<RowType::kF32>(row);
    }
    float sums[4] = {0, 0, 0, 0};
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      if (!used) q_[s][0] = q_[s][1] = 0;
      // Σ q, by the tensor core too: every row of the result is the sum of a column.
      constexpr uint32_t kOnes = 0x3C003C00u;
      ptx::MmaF16(sums, kOnes, kOnes, kOnes, kOnes, q_[s][0], q_[s][1]);
    }
    q_sum_[0] = sums[0];
    q_sum_[1] = sums[1];
  }

  template <RowType kType>
  __device__ __forceinline__ void LoadQueryAs(const void* row) {
#pragma unroll
    for (int i = 0; i < 2 * kFragments; ++i) {
      const float2 pair = LoadPair(row, kType, 8 * i + 2 * t_);
      q_[i / 2][i % 2] = Bits(__floats2half2_rn(pair.x, pair.y));
    }
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

  /// Positions [first, first + 32), of which those in [seen, end) are seen.
  __device__ __forceinline__ void AttendStep(const char* slot, int first, int seen, int end) {
    // Fragments by fours, so that few words are in registers at a time.
    constexpr int kAtOnce = 4 / kWords;
    float scores[kStepPages][4];  // (position g, columns 2t, 2t + 1), (g + 8, the same)
#pragma unroll
    for (int i = 0; i < kStepPages; ++i) {
      const char* page = slot + i * Sizes::kPageBytes;
#pragma unroll
      for (int j = 0; j < 4; ++j) scores[i][j] = 0;
      ForEachFragment<0, kFragments, kAtOnce>(page, [&](int s, const uint32_t(&a)[4]) {
        ptx::MmaF16(scores[i], a[0], a[2], a[1], a[3], q_[s][0], q_[s][1]);
      });
    }
#pragma unroll
    for (int i = 0; i < kStepPages; ++i) {
      float a[2] = {score_scale_, score_scale_}, b[2] = {0, 0};
      if constexpr (HasScales(kStorage)) {
        const __half2* pairs = reinterpret_cast<const __half2*>(Scales(slot, i));
        const KeyTerms<kStorage> low(pairs[g_], score_scale_), high(pairs[g_ + 8], score_scale_);
        a[0] = low.a, a[1] = high.a, b[0] = low.b, b[1] = high.b;
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        scores[i][j] = Score(scores[i][j], a[j / 2], b[j / 2], q_sum_[j % 2]);
      }
    }
    if (call_.params.softcap > 0) {
      const float cap = call_.params.softcap * 1.4426950408889634f;
#pragma unroll
      for (int j = 0; j < 4 * kStepPages; ++j) {
        scores[j / 4][j % 4] = Softcap(scores[j / 4][j % 4], cap);
      }
    }
    const bool partial = first + kStepPages * kPagePositions > end || first < seen;
    if (partial) {
#pragma unroll
      for (int j = 0; j < 4 * kStepPages; ++j) {
        const int position = first + g_ + 8 * (j / 2);
        if (position >= end || position < seen) scores[j / 4][j % 4] = -INFINITY;
      }
    }
    RaiseMax(scores);
#pragma unroll
    for (int i = 0; i < kStepPages; ++i) {
      // p, rounded to fp16, with positions across: the B operand of both products.
      const float(&s)[4] = scores[i];
      const __half2 low = __floats2half2_rn(ptx::Exp2(s[0] - max_[0]), ptx::Exp2(s[1] - max_[1]));
      const __half2 high = __floats2half2_rn(ptx::Exp2(s[2] - max_[0]), ptx::Exp2(s[3] - max_[1]));
      const uint32_t p0 = ptx::MovMatrixTrans(Bits(low)), p1 = ptx::MovMatrixTrans(Bits(high));
      // What lies at positions that are not seen may be anything.
      uint32_t keep0 = ~0u, keep1 = ~0u;
      if (partial) {
        const int pair = first + i * kPagePositions + 2 * t_;
        keep0 = PairMask(pair, seen, end);
        keep1 = PairMask(pair + 8, seen, end);
      }
      AddValues(slot, i, p0, p1, keep0, keep1);
    }
  }

  __device__ const char* Scales(const char* slot, int page) const {
    return slot + page * Sizes::kPageBytes + ScaleOffset(kStorage, kHeadDim);
  }

  /// out += Vᵀ · p, and the sums of p.
  __device__ __forceinline__ void AddValues(const char* slot, int page, uint32_t p0, uint32_t p1,
                                            uint32_t keep0, uint32_t keep1) {
    uint32_t weighted0 = p0, weighted1 = p1;
    uint32_t extra0 = 0x3C003C00u, extra1 = 0x3C003C00u;  // row 0: ones
    if constexpr (HasScales(kStorage)) {
      const uint32_t* words = reinterpret_cast<const uint32_t*>(Scales(slot, page)) + t_;
      const uint32_t scale0 = words[16] & keep0, scale1 = words[20] & keep1;
      weighted0 = Bits(__hmul2(AsHalf2(p0), AsHalf2(scale0)));
      weighted1 = Bits(__hmul2(AsHalf2(p1), AsHalf2(scale1)));
      if (g_ == 1) extra0 = words[24] & keep0, extra1 = words[28] & keep1;  // offsets
      if (g_ == 2) extra0 = scale0, extra1 = scale1;
    }
    if (g_ > (HasScales(kStorage) ? 2 : 0)) extra0 = extra1 = 0;
    ptx::MmaF16(sums_, extra0, 0, extra1, 0, p0, p1);
    ForEachFragment<kFragments, 2 * kFragments, 4 / kWords>(
        slot + page * Sizes::kPageBytes, [&](int i, const uint32_t(&v)[4]) {
          float(&out)[4] = out_[i - kFragments];
          if constexpr (HasScales(kStorage)) {
            ptx::MmaF16(out, v[0], v[1], v[2], v[3], weighted0, weighted1);
          } else {
            ptx::MmaF16(out, v[0] & keep0, v[1] & keep0, v[2] & keep1, v[3] & keep1, weighted0,
                        weighted1);
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

  /// All ones in the halves whose position (first, first + 1) is in [seen, end).
  static __device__ __forceinline__ uint32_t PairMask(int first, int seen, int end) {
    return (first < end && first >= seen ? 0x0000FFFFu : 0u) |
           (first + 1 < end && first + 1 >= seen ? 0xFFFF0000u : 0u);
  }

  __device__ __forceinline__ void RaiseMax(const float (&scores)[kStepPages][4]) {
    float step_max[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      step_max[j] =
          fmaxf(fmaxf(scores[0][j], scores[0][j + 2]), fmaxf(scores[1][j], scores[1][j + 2]));
    }
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) {
      step_max[0] = fmaxf(step_max[0], __shfl_xor_sync(~0u, step_max[0], distance));
      step_max[1] = fmaxf(step_max[1], __shfl_xor_sync(~0u, step_max[1], distance));
    }
    const bool raise0 = step_max[0] > max_[0] + kMaxSlack;
    const bool raise1 = step_max[1] > max_[1] + kMaxSlack;
    if (!__any_sync(~0u, raise0 || raise1)) return;
    const float new0 = raise0 ? step_max[0] : max_[0], new1 = raise1 ? step_max[1] : max_[1];
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
    return reinterpret_cast<float4*>(shared_ + Sizes::kRing * Sizes::kSlotBytes);
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
      int* counter = reinterpret_cast<int*>(call_.workspace + kQueueBytes) +
                     (sequence * call_.kv.kv_heads + head) * passes + first_column_ / kColumns;
      // What this warp stored comes before, what others stored becomes visible after.
      asm volatile("atom.add.acq_rel.gpu.global.s32 %0, [%1], %2;"
                   : "=r"(before)
                   : "l"(counter), "r"(done)
                   : "memory");
      if (before + done == segments) *counter = 0;
    }
    return __shfl_sync(~0u, before, 0) + done == segments;
  }

  struct Sums {
    float4 of[kFragments + 1];
  };
  __device__ __forceinline__ Sums LoadPartial(const float4* from) const {
    Sums sums;
#pragma unroll
    for (int i = 0; i <= kFragments; ++i) sums.of[i] = __ldcg(from + i * 32 + lane_);
    return sums;
  }

  /// Segments in ascending order, two on their way at once.
  __device__ void MergePartials(int sequence, int head, int first_segment, int segments) {
    if (first_column_ + 2 * t_ < group_) {
      const float4* partial = Partial(sequence, head, first_segment);
      const int64_t stride =
          static_cast<int64_t>(Passes(group_)) * Sizes::kStateBytes / sizeof(float4);
      for (int i = 0; i < segments; i += 2, partial += 2 * stride) {
        const Sums even = LoadPartial(partial);
        const Sums odd = LoadPartial(i + 1 < segments ? partial + stride : partial);
        MergeBehind(even, i == 0);
        if (i + 1 < segments) MergeBehind(odd, false);
      }
    }
    __syncwarp();
  }

  /// A segment into these registers, which come before it; the first one takes their place.
  __device__ __forceinline__ void MergeBehind(const Sums& segment, bool first) {
    const float4 ends = segment.of[kFragments];
    const MergeFactors even(max_[0], ends.z), odd(max_[1], ends.w);
#pragma unroll
    for (int j = 0; j < kFragments; ++j) {
      const float4 x = segment.of[j];
      out_[j][0] = first ? x.x : even(out_[j][0], x.x);
      out_[j][1] = first ? x.y : odd(out_[j][1], x.y);
      out_[j][2] = first ? x.z : even(out_[j][2], x.z);
      out_[j][3] = first ? x.w : odd(out_[j][3], x.w);
    }
    sums_[0] = first ? ends.x : even(sums_[0], ends.x);
    sums_[1] = first ? ends.y : odd(sums_[1], ends.y);
    max_[0] = first ? ends.z : even.max;
    max_[1] = first ? ends.w : odd.max;
  }

  __device__ void Finish(int sequence, int head) const {
    const int64_t row = QueryRow(sequence);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float sum = __shfl_sync(~0u, sums_[j], t_);
      const Normalizer<kStorage> normalize(sum, __shfl_sync(~0u, sums_[j], 4 + t_),
                                           __shfl_sync(~0u, sums_[j], 8 + t_));
      const int column = first_column_ + 2 * t_ + j;
      if (column >= group_) continue;
      if (call_.params.ends != nullptr && g_ == 0) {
        call_.params.ends[row * call_.params.heads + head * group_ + column] = {max_[j], sum};
      }
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
  Queue* queue_ = nullptr;
  int dealt_ = 0, all_ = 0;  // page-heads
  Cursor ahead_;             // the page to fetch next
  int page_index_ = 0;
  int pushed_ = 0, popped_ = 0;
  int slot_ = 0;
  uint32_t parity_ = 0;

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
  const int page_heads = __ldg(call.lists.indptr + call.lists.sequences) * call.kv.kv_heads;
  // Neighbouring stretches go to different SMs, so that few sequences still use all of them.
  const int worker = warp * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  const int workers = Sizes::kWarps * static_cast<int>(gridDim.x);
  Warp<kStorage, kHeadDim> body(call, shared + warp * Sizes::kWarpBytes, lane);
  body.Run(worker, workers, page_heads / 8 * 7, page_heads, blockIdx.y);
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
