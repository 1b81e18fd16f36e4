// Prefill: chunks of queries against the pages of their sequence. A CTA owns a tile of rows of one
// sequence and KV head; a row is one query of one of the heads that share the KV head:
//
//   row = query · group + head of the group         group = heads / kv_heads
//
// Each warp keeps its rows' queries and sums in registers. All of them turn packed pages into
// fp16 fragments in shared memory, once for the CTA, and then multiply:
//
//   bulk copies        all warps               every warp, its own rows
//   packed stage n+2 → fragments of stage n+1 → scores = q · Kᵀ, out += p · V of stage n
//
// The arithmetic of a row is the decode kernel's, operation by operation and in the same order;
// only the roles of the MMA's operands are exchanged.
#pragma once

#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/attention/fragments.cuh"
#include "atom/kernels/cuda/attention/prefill.h"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::prefill {

inline constexpr int kSharedBytes = 227 * 1024;  // of one CTA on sm_90

/// What scores and sums need of a page beside its fragments.
struct PageTerms {
  float a[kPagePositions], b[kPagePositions];  // of KeyTerms
  __half value_scale[kPagePositions], value_offset[kPagePositions];
};

template <KvStorage kStorage, int kHeadDim>
struct Shape {
  static constexpr int kFragments = kHeadDim / 16;
  static constexpr int kPackedPageBytes = HeadPageBytes(kStorage, kHeadDim);
  static constexpr int kFragmentPageBytes = 2 * kFragments * 512 + sizeof(PageTerms);
  // Two buffers of each: one is filled while the other is read.
  static constexpr int kPackedBytes = kStepPages * kPackedPageBytes;
  static constexpr int kStageBytes = kStepPages * kFragmentPageBytes;
  static constexpr int kBuffers = 2 * kPackedBytes + 2 * kStageBytes;
  // A warp's merged sums: `out` and `sums` of every lane, and its two maxima.
  static constexpr int kStateBytes = (2 * kFragments + 1) * 512 + 256;
  // Three warps a scheduler have 168 registers each, two have 255.
  static constexpr int kMostWarps = kHeadDim <= 128 ? 12 : 8;
  static constexpr int kFittingWarps = (kSharedBytes - kBuffers - 64) / kStateBytes;
  static constexpr int kWarps = kFittingWarps < kMostWarps ? kFittingWarps : kMostWarps;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kRows = kWarps * 16;
  static constexpr int kBytes = kBuffers + kWarps * kStateBytes + 64;
};

template <KvStorage kStorage, int kHeadDim>
class Tile {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;
  static constexpr int kFragments = Sizes::kFragments;
  static constexpr int kWords = WordsPerFragment(kStorage);

  __device__ Tile(const PrefillAttention& call, char* shared)
      : call_(call),
        shared_(shared),
        warp_(threadIdx.x / 32),
        lane_(threadIdx.x % 32),
        g_(lane_ / 4),
        t_(lane_ % 4) {}

  __device__ void Run(int sequence, int kv_head, int tile) {
    const int group = call_.params.heads / call_.kv.kv_heads;
    const int tile_queries = Sizes::kRows / group;
    const int first_row = __ldg(call_.query_starts + sequence);
    const int queries = __ldg(call_.query_starts + sequence + 1) - first_row;
    const int first_query = tile * tile_queries;
    if (first_query >= queries) return;
    const int count = min(tile_queries, queries - first_query);
    length_ = __ldg(call_.lists.kv_lengths + sequence);
    const int first_position = length_ - queries + first_query;
    const int window = call_.params.window;
    const int from = window > 0 ? max(0, first_position - window + 1) / kPagePositions : 0;
    const int last_position = first_position + count - 1;
    const int until = min(last_position / kPagePositions + 1,
                          FirstExactPage(last_position, call_.params.exact_window));
    if (until <= from) return;
    kv_head_ = kv_head;
    first_page_ = from;
    first_step_ = from / kStepPages * kStepPages;
    last_page_ = until;
    limit_ = min(length_, until * kPagePositions);
    first_index_ = __ldg(call_.lists.indptr + sequence);

    if (threadIdx.x == 0) {
      ptx::MbarrierInit(Barrier(0), 1);
      ptx::MbarrierInit(Barrier(1), 1);
      ptx::FenceMbarrierInit();
    }
    __syncthreads();
    const int stages = (until - first_step_ + kStepPages - 1) / kStepPages;
    if (warp_ == 0) {
      Fetch(0);
      if (stages > 1) Fetch(1);
    }
    LoadQueries(first_row + first_query, first_position, count, group);
    BeginSegment();
    bool first_merge = true, dirty = false;
    for (int n = 0; n < stages; ++n) {
      ptx::MbarrierWait(Barrier(n % 2), n / 2 % 2);
      Unpack(n);
      __syncthreads();  // the stage's fragments are written; those of stage n − 1 are read
      if (warp_ == 0 && n + 2 < stages) Fetch(n + 2);
      const int page = first_step_ + n * kStepPages;
      // What no row of the warp sees changes nothing.
      if (page <= warp_last_page_ && page + kStepPages > warp_first_page_) {
        AttendStep(Stage(n % 2), page * kPagePositions);
        dirty = true;
      }
      const int next = page + kStepPages;
      if (dirty && (next % kSegmentPages == 0 || next >= until || next > warp_last_page_)) {
        MergeIntoState(first_merge);
        first_merge = false;
        dirty = false;
        BeginSegment();
      }
    }
    Finish(first_row + first_query, count, group);
  }

 private:
  __device__ char* Packed(int slot) const { return shared_ + slot * Sizes::kPackedBytes; }
  __device__ char* Stage(int slot) const {
    return shared_ + 2 * Sizes::kPackedBytes + slot * Sizes::kStageBytes;
  }
  __device__ float4* State() const {
    return reinterpret_cast<float4*>(shared_ + Sizes::kBuffers + warp_ * Sizes::kStateBytes) +
           lane_;
  }
  __device__ uint32_t Barrier(int slot) const {
    return ptx::SharedAddress(shared_ + Sizes::kBuffers + Sizes::kWarps * Sizes::kStateBytes +
                              8 * slot);
  }

  /// Warp 0 asks for the packed pages of stage n, lanes 0 and 1 for one each.
  __device__ void Fetch(int n) {
    const int first = first_step_ + n * kStepPages;
    const int chunk = n * kStepPages / 32;
    if (chunk != index_chunk_) {  // page numbers come 32 at a time
      index_chunk_ = chunk;
      const int i = first_step_ + chunk * 32 + lane_;
      page_index_ = i < last_page_ ? __ldg(call_.lists.indices + first_index_ + i) : 0;
    }
    const int place = lane_ % kStepPages;
    const bool exists = first + place >= first_page_ && first + place < last_page_;
    const int page = __shfl_sync(~0u, page_index_, (n * kStepPages + place) % 32);
    const int count = __popc(__ballot_sync(~0u, exists) & ((1 << kStepPages) - 1));
    if (lane_ == 0) ptx::MbarrierArriveExpect(Barrier(n % 2), count * Sizes::kPackedPageBytes);
    __syncwarp();
    if (lane_ < kStepPages && exists) {
      ptx::BulkLoad(ptx::SharedAddress(Packed(n % 2) + place * Sizes::kPackedPageBytes),
                    call_.kv.data + (static_cast<int64_t>(page) * call_.kv.kv_heads + kv_head_) *
                                        Sizes::kPackedPageBytes,
                    Sizes::kPackedPageBytes, Barrier(n % 2));
    }
  }

  /// All warps: packed words of stage n into fragments and terms. What lies behind the sequence's
  /// positions may be anything, and becomes zero where it would be multiplied.
  __device__ void Unpack(int n) {
    constexpr int kPerLane = WordsPerLane(kStorage, kHeadDim);
    constexpr int kGroups = (kPerLane + 3) / 4;
    for (int i = warp_; i < kStepPages * kGroups; i += Sizes::kWarps) {
      const int page = i / kGroups, group = i % kGroups;
      const char* from = Packed(n % 2) + page * Sizes::kPackedPageBytes;
      uint4* to = reinterpret_cast<uint4*>(Stage(n % 2) + page * Sizes::kFragmentPageBytes) + lane_;
      const bool narrow = kPerLane % 4 != 0 && group == kGroups - 1;
      uint32_t words[4];
      if (narrow) {
        const uint2 two = reinterpret_cast<const uint2*>(from + group * 512)[lane_];
        words[0] = two.x, words[1] = two.y, words[2] = words[3] = 0;
      } else {
        const uint4 four = reinterpret_cast<const uint4*>(from + group * 512)[lane_];
        words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w;
      }
#pragma unroll
      for (int j = 0; j < 4 / kWords; ++j) {
        if (narrow && j >= 2 / kWords) break;
        const int fragment = group * 4 / kWords + j;
        uint32_t values[4];
        UnpackFragment<kStorage>(words + j * kWords, values);
        if (kStorage == KvStorage::kF16 && fragment >= kFragments) {
          const int position = (first_step_ + n * kStepPages + page) * kPagePositions + 2 * t_;
          const uint32_t low = PairMask(position), high = PairMask(position + 8);
          values[0] &= low, values[1] &= low, values[2] &= high, values[3] &= high;
        }
        to[fragment * 32] = {values[0], values[1], values[2], values[3]};
      }
    }
    if (HasScales(kStorage) && threadIdx.x < kStepPages * kPagePositions) {
      const int page = threadIdx.x / kPagePositions, i = threadIdx.x % kPagePositions;
      const __half* from = reinterpret_cast<const __half*>(
          Packed(n % 2) + page * Sizes::kPackedPageBytes + ScaleOffset(kStorage, kHeadDim));
      auto* to = reinterpret_cast<PageTerms*>(Stage(n % 2) + page * Sizes::kFragmentPageBytes +
                                              2 * kFragments * 512);
      const int position = (first_step_ + n * kStepPages + page) * kPagePositions + i;
      const KeyTerms<kStorage> terms(reinterpret_cast<const __half2*>(from)[i], ScoreScale());
      const bool exists = position < limit_ && position >= first_page_ * kPagePositions;
      to->a[i] = terms.a;
      to->b[i] = terms.b;
      to->value_scale[i] = exists ? from[32 + i] : __half(0.0f);
      to->value_offset[i] = exists ? from[48 + i] : __half(0.0f);
    }
  }

  __device__ float ScoreScale() const { return call_.params.scale * 1.4426950408889634f; }

  /// All ones in the halves whose position exists in the pages that were fetched.
  __device__ uint32_t PairMask(int position) const {
    const int first = first_page_ * kPagePositions;
    return (position >= first && position < limit_ ? 0x0000FFFFu : 0u) |
           (position >= first && position + 1 < limit_ ? 0xFFFF0000u : 0u);
  }

  __device__ void LoadQueries(int first_row, int first_position, int count, int group) {
    warp_first_page_ = 1 << 30;
    warp_last_page_ = -1;
    const void* rows[2];
    bool used[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = warp_ * 16 + 8 * h + g_;
      const int query = row / group;
      used[h] = query < count;
      // A row that does not exist sees nothing.
      position_[h] = used[h] ? first_position + query : -1;
      last_[h] = min(position_[h],
                     FirstExactPage(position_[h], call_.params.exact_window) * kPagePositions - 1);
      rows[h] = RowAt(call_.q, first_row + (used[h] ? query : 0),
                      static_cast<int64_t>(kv_head_ * group + row % group) * kHeadDim);
      const int window = call_.params.window;
      const int seen = window > 0 ? max(0, position_[h] - window + 1) : 0;
      if (used[h] && last_[h] >= seen) {
        warp_first_page_ = min(warp_first_page_, seen / kPagePositions);
        warp_last_page_ = max(warp_last_page_, last_[h] / kPagePositions);
      }
    }
    switch (call_.q.type) {  // one branch for all loads, so that they are in flight together
      case RowType::kF16:
        LoadQueriesAs<RowType::kF16>(rows);
        break;
      case RowType::kBF16:
        LoadQueriesAs<RowType::kBF16>(rows);
        break;
      default:
        LoadQueriesAs<RowType::kF32>(rows);
    }
    float sums[4] = {0, 0, 0, 0};
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) q_[s][i] = used[i % 2] ? q_[s][i] : 0;
      constexpr uint32_t kOnes = 0x3C003C00u;
      ptx::MmaF16(sums, q_[s][0], q_[s][1], q_[s][2], q_[s][3], kOnes, kOnes);
    }
    q_sum_[0] = sums[0];
    q_sum_[1] = sums[2];
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) {
      warp_first_page_ = min(warp_first_page_, __shfl_xor_sync(~0u, warp_first_page_, distance));
      warp_last_page_ = max(warp_last_page_, __shfl_xor_sync(~0u, warp_last_page_, distance));
    }
  }

  template <RowType kType>
  __device__ __forceinline__ void LoadQueriesAs(const void* const (&rows)[2]) {
#pragma unroll
    for (int i = 0; i < 4 * kFragments; ++i) {
      // Registers (row g, low k), (row g + 8, low k), (g, high), (g + 8, high).
      const float2 pair = LoadPair(rows[i % 2], kType, 16 * (i / 4) + 8 * (i / 2 % 2) + 2 * t_);
      q_[i / 4][i % 4] = Bits(__floats2half2_rn(pair.x, pair.y));
    }
  }

  __device__ void BeginSegment() {
#pragma unroll
    for (int i = 0; i < 2 * kFragments; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) out_[i][j] = 0;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) sums_[j] = 0;
    max_[0] = max_[1] = kNoScore;
  }

  /// Scores of a step: of page i, half h, (row g, positions 8 h + 2t, + 1), (row g + 8, the same).
  using Scores = float[kStepPages][2][4];

  __device__ __forceinline__ void AttendStep(const char* stage, int first) {
    Scores scores;
#pragma unroll
    for (int j = 0; j < 8 * kStepPages; ++j) scores[j / 8][j / 4 % 2][j % 4] = 0;
    const auto* fragments = reinterpret_cast<const uint4*>(stage) + lane_;
    constexpr int kPageVectors = Sizes::kFragmentPageBytes / 16;
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
#pragma unroll
      for (int i = 0; i < kStepPages; ++i) {
        const uint4 k = fragments[i * kPageVectors + s * 32];
        ptx::MmaF16(scores[i][0], q_[s][0], q_[s][1], q_[s][2], q_[s][3], k.x, k.y);
        ptx::MmaF16(scores[i][1], q_[s][0], q_[s][1], q_[s][2], q_[s][3], k.z, k.w);
      }
    }
#pragma unroll
    for (int j = 0; j < 2 * kStepPages; ++j) {
      float2 a = {ScoreScale(), ScoreScale()}, b = {0, 0};
      if constexpr (HasScales(kStorage)) {
        const PageTerms& terms = Terms(stage, j / 2);
        a = *reinterpret_cast<const float2*>(terms.a + 8 * (j % 2) + 2 * t_);
        b = *reinterpret_cast<const float2*>(terms.b + 8 * (j % 2) + 2 * t_);
      }
      float(&s)[4] = scores[j / 2][j % 2];
      s[0] = Score(s[0], a.x, b.x, q_sum_[0]);
      s[1] = Score(s[1], a.y, b.y, q_sum_[0]);
      s[2] = Score(s[2], a.x, b.x, q_sum_[1]);
      s[3] = Score(s[3], a.y, b.y, q_sum_[1]);
    }
    if (call_.params.softcap > 0) {
      const float cap = call_.params.softcap * 1.4426950408889634f;
#pragma unroll
      for (int j = 0; j < 8 * kStepPages; ++j) {
        float& s = scores[j / 8][j / 4 % 2][j % 4];
        s = Softcap(s, cap);
      }
    }
    Mask(scores, first);
    RaiseMax(scores);
#pragma unroll
    for (int i = 0; i < kStepPages; ++i) {
      uint32_t p[4];  // (row g, low), (row g + 8, low), (g, high), (g + 8, high)
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float* s = scores[i][j / 2] + 2 * (j % 2);
        const float max = max_[j % 2];
        p[j] = Bits(__floats2half2_rn(ptx::Exp2(s[0] - max), ptx::Exp2(s[1] - max)));
      }
      AddValues(stage, i, p);
    }
  }

  static __device__ const PageTerms& Terms(const char* stage, int page) {
    return *reinterpret_cast<const PageTerms*>(stage + page * Sizes::kFragmentPageBytes +
                                               2 * kFragments * 512);
  }

  /// out += p · V, and the sums of p.
  __device__ __forceinline__ void AddValues(const char* stage, int page, uint32_t (&p)[4]) {
    uint32_t extra0 = 0x3C003C00u, extra1 = 0x3C003C00u, scale0 = 0, scale1 = 0;
    if constexpr (HasScales(kStorage)) {
      const PageTerms& terms = Terms(stage, page);
      const auto* scales = reinterpret_cast<const uint32_t*>(terms.value_scale) + t_;
      const auto* offsets = reinterpret_cast<const uint32_t*>(terms.value_offset) + t_;
      scale0 = scales[0], scale1 = scales[4];
      if (g_ == 1) extra0 = offsets[0], extra1 = offsets[4];
      if (g_ == 2) extra0 = scale0, extra1 = scale1;
    }
    if (g_ > (HasScales(kStorage) ? 2 : 0)) extra0 = extra1 = 0;
    ptx::MmaF16(sums_, p[0], p[1], p[2], p[3], extra0, extra1);
    if constexpr (HasScales(kStorage)) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        p[j] = Bits(__hmul2(AsHalf2(p[j]), AsHalf2(j < 2 ? scale0 : scale1)));
      }
    }
    const auto* fragments =
        reinterpret_cast<const uint4*>(stage + page * Sizes::kFragmentPageBytes) + lane_;
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const uint4 v = fragments[(kFragments + i) * 32];
      ptx::MmaF16(out_[2 * i], p[0], p[1], p[2], p[3], v.x, v.z);
      ptx::MmaF16(out_[2 * i + 1], p[0], p[1], p[2], p[3], v.y, v.w);
    }
  }

  __device__ __forceinline__ void Mask(Scores& scores, int first) const {
    const int window = call_.params.window, end = first + kStepPages * kPagePositions;
    // One decision for the warp: whether some row does not see all of the step.
    bool partial = false;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      partial |= end - 1 > last_[h] || (window > 0 && first <= position_[h] - window);
    }
    if (!__any_sync(~0u, partial)) return;
#pragma unroll
    for (int j = 0; j < 8 * kStepPages; ++j) {
      const int position = first + 8 * (j / 4) + 2 * t_ + j % 2, h = j / 2 % 2;
      if (position > last_[h] || (window > 0 && position <= position_[h] - window)) {
        scores[j / 8][j / 4 % 2][j % 4] = -INFINITY;
      }
    }
  }

  __device__ __forceinline__ void RaiseMax(const Scores& scores) {
    float step_max[2];
    bool raise = false;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float x = -INFINITY;
#pragma unroll
      for (int j = 0; j < 2 * kStepPages; ++j) {
        const float* s = scores[j / 2][j % 2] + 2 * h;
        x = fmaxf(x, fmaxf(s[0], s[1]));
      }
      x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
      x = fmaxf(x, __shfl_xor_sync(~0u, x, 2));
      step_max[h] = x;
      raise |= x > max_[h] + kMaxSlack;
    }
    if (!__any_sync(~0u, raise)) return;
    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float max = step_max[h] > max_[h] + kMaxSlack ? step_max[h] : max_[h];
      factor[h] = ptx::Exp2(max_[h] - max);
      max_[h] = max;
    }
#pragma unroll
    for (int i = 0; i < 2 * kFragments; ++i) {
      out_[i][0] *= factor[0], out_[i][1] *= factor[0];
      out_[i][2] *= factor[1], out_[i][3] *= factor[1];
    }
    sums_[0] *= factor[0], sums_[1] *= factor[0];
    sums_[2] *= factor[1], sums_[3] *= factor[1];
  }

  /// The state becomes what came before merged with this segment.
  __device__ void MergeIntoState(bool first) {
    float4* state = State();
    float* maxima = reinterpret_cast<float*>(state - lane_ + (2 * kFragments + 1) * 32) + lane_;
    const MergeFactors low(first ? kNoScore : maxima[0], max_[0]);
    const MergeFactors high(first ? kNoScore : maxima[32], max_[1]);
#pragma unroll
    for (int i = 0; i <= 2 * kFragments; ++i) {
      const float(&x)[4] = i < 2 * kFragments ? out_[i] : sums_;
      float4 merged = {x[0], x[1], x[2], x[3]};
      if (!first) {
        const float4 old = state[i * 32];
        merged = {low(old.x, x[0]), low(old.y, x[1]), high(old.z, x[2]), high(old.w, x[3])};
      }
      state[i * 32] = merged;
    }
    maxima[0] = first ? max_[0] : low.max;
    maxima[32] = first ? max_[1] : high.max;
  }

  __device__ void Finish(int first_row, int count, int group) const {
    if (warp_last_page_ < 0) return;
    const float4* state = State();
    const float4 sums = state[2 * kFragments * 32];
    const float* maxima =
        reinterpret_cast<const float*>(state - lane_ + (2 * kFragments + 1) * 32) + lane_;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float even = h == 0 ? sums.x : sums.z, odd = h == 0 ? sums.y : sums.w;
      const Normalizer<kStorage> normalize(__shfl_sync(~0u, even, 4 * g_),
                                           __shfl_sync(~0u, odd, 4 * g_),
                                           __shfl_sync(~0u, even, 4 * g_ + 1));
      const int row = warp_ * 16 + 8 * h + g_;
      if (row / group >= count) continue;
      const int64_t out_row = first_row + row / group;
      const int head = kv_head_ * group + row % group;
      if (call_.params.ends != nullptr && t_ == 0) {
        call_.params.ends[out_row * call_.params.heads + head] = {maxima[32 * h], even};
      }
      void* out = MutableRowAt(call_.out, out_row, static_cast<int64_t>(head) * kHeadDim);
#pragma unroll
      for (int i = 0; i < 2 * kFragments; ++i) {
        const float4 x = state[i * 32];
        StorePair(out, call_.out.type, 8 * i + 2 * t_,
                  {normalize(h == 0 ? x.x : x.z), normalize(h == 0 ? x.y : x.w)});
      }
    }
  }

  const PrefillAttention& call_;
  char* shared_;
  int warp_, lane_, g_, t_;
  int kv_head_ = 0, length_ = 0;
  int limit_ = 0;                        // positions before it are in the pages that are fetched
  int first_page_ = 0, first_step_ = 0;  // of the tile
  int last_page_ = 0;                    // of the tile; not in it
  int first_index_ = 0;
  int warp_first_page_ = 0, warp_last_page_ = 0;  // that some row of the warp sees
  int index_chunk_ = -1, page_index_ = 0;

  uint32_t q_[kFragments][4];
  float q_sum_[2];
  int position_[2], last_[2];  // of rows g and g + 8: the query's, and the last that it sees
  float out_[2 * kFragments][4];
  float sums_[4];
  float max_[2];
};

template <KvStorage kStorage, int kHeadDim>
__global__ void __launch_bounds__(Shape<kStorage, kHeadDim>::kThreads, 1)
    PrefillKernel(const __grid_constant__ PrefillAttention call) {
  extern __shared__ __align__(128) char shared[];
  Tile<kStorage, kHeadDim> tile(call, shared);
  // The last tiles, which see most, begin first.
  tile.Run(blockIdx.x / call.kv.kv_heads, blockIdx.x % call.kv.kv_heads,
           gridDim.y - 1 - blockIdx.y);
}

template <KvStorage kStorage, int kHeadDim>
cudaError_t LaunchAs(const PrefillAttention& call, cudaStream_t stream) {
  using Sizes = Shape<kStorage, kHeadDim>;
  const cudaError_t raised =
      cudaFuncSetAttribute(PrefillKernel<kStorage, kHeadDim>,
                           cudaFuncAttributeMaxDynamicSharedMemorySize, Sizes::kBytes);
  if (raised != cudaSuccess) return raised;
  const int tile_queries = Sizes::kRows / (call.params.heads / call.kv.kv_heads);
  const dim3 grid(call.kv.kv_heads * call.lists.sequences,
                  (call.max_queries + tile_queries - 1) / tile_queries);
  PrefillKernel<kStorage, kHeadDim><<<grid, Sizes::kThreads, Sizes::kBytes, stream>>>(call);
  return cudaGetLastError();
}

/// To be instantiated in a file of its own for each head_dim.
template <int kHeadDim>
cudaError_t Launch(const PrefillAttention& call, cudaStream_t stream) {
  switch (call.kv.storage) {
    case KvStorage::kInt4:
      return LaunchAs<KvStorage::kInt4, kHeadDim>(call, stream);
    case KvStorage::kInt8:
      return LaunchAs<KvStorage::kInt8, kHeadDim>(call, stream);
    default:
      return LaunchAs<KvStorage::kF16, kHeadDim>(call, stream);
  }
}

}  // namespace atom::kernels::cuda::prefill
