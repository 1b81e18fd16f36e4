// One step: two pages of a ring slot, or an exact one, against the queries of a warp. Their words
// become fp16 fragments in registers; scores = K · qᵀ, softmax, out += Vᵀ · p.
#pragma once

#include "atom/kernels/cuda/attention/decode/sums.cuh"
#include "atom/kernels/cuda/ptx/matrix.h"

namespace atom::kernels::cuda::decode {

/// Positions that the query sees: [first, end).
struct Seen {
  int first, end;
};

/// `kApart`: bytes from one page to the next.
template <KvStorage kStorage, int kHeadDim, int kPages,
          int kApart = HeadPageBytes(kStorage, kHeadDim)>
class Step {
 public:
  static constexpr int kFragments = kHeadDim / 16;
  static constexpr int kWords = WordsPerFragment(kStorage);
  static constexpr int kAtOnce = 4 / kWords;  // fragments, so that few words are in registers

  /// `first`: the first position of `pages`.
  __device__ __forceinline__ Step(const AttentionParams& params, const char* pages, int first,
                                  const Seen& seen, int lane)
      : params_(params),
        pages_(pages),
        first_(first),
        seen_(seen),
        lane_(lane),
        g_(lane / 4),
        t_(lane % 4) {
    partial_ = first + kPages * kPagePositions > seen.end || first < seen.first;
  }

  /// `first`: of the fragments of values that `sums` has.
  template <int kCount>
  __device__ __forceinline__ void Attend(const Queries<kHeadDim>& queries, Sums<kCount>& sums,
                                         int first = 0) {
    float scores[kPages][4];  // (position g, columns 2t, 2t + 1), (g + 8, the same)
    ComputeScores(queries, scores);
    sums.RaiseMax(scores);
#pragma unroll
    for (int i = 0; i < kPages; ++i) {
      // p, rounded to fp16, with positions across: the B operand of both products.
      const float(&s)[4] = scores[i];
      const __half2 low =
          __floats2half2_rn(ptx::Exp2(s[0] - sums.max[0]), ptx::Exp2(s[1] - sums.max[1]));
      const __half2 high =
          __floats2half2_rn(ptx::Exp2(s[2] - sums.max[0]), ptx::Exp2(s[3] - sums.max[1]));
      AddValues(i, ptx::MovMatrixTrans(Bits(low)), ptx::MovMatrixTrans(Bits(high)), sums, first);
    }
  }

 private:
  __device__ const char* Page(int i) const { return pages_ + i * kApart; }
  __device__ const char* Scales(int i) const { return Page(i) + ScaleOffset(kStorage, kHeadDim); }

  /// In units of log2(e); −infinity at positions that are not seen.
  __device__ __forceinline__ void ComputeScores(const Queries<kHeadDim>& queries,
                                                float (&scores)[kPages][4]) const {
#pragma unroll
    for (int i = 0; i < kPages; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) scores[i][j] = 0;
      ForEachFragment<0, kFragments>(Page(i), [&](int s, const uint32_t(&a)[4]) {
        ptx::MmaF16(scores[i], a[0], a[2], a[1], a[3], queries.fragments[s][0],
                    queries.fragments[s][1]);
      });
    }
    const float score_scale = params_.scale * 1.4426950408889634f;
#pragma unroll
    for (int i = 0; i < kPages; ++i) {
      float a[2] = {score_scale, score_scale}, b[2] = {0, 0};
      if constexpr (HasScales(kStorage)) {
        const __half2* pairs = reinterpret_cast<const __half2*>(Scales(i));
        const KeyTerms<kStorage> low(pairs[g_], score_scale), high(pairs[g_ + 8], score_scale);
        a[0] = low.a, a[1] = high.a, b[0] = low.b, b[1] = high.b;
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        scores[i][j] = Score(scores[i][j], a[j / 2], b[j / 2], queries.sum[j % 2]);
      }
    }
    if (params_.softcap > 0) {
      const float cap = params_.softcap * 1.4426950408889634f;
#pragma unroll
      for (int j = 0; j < 4 * kPages; ++j) {
        scores[j / 4][j % 4] = Softcap(scores[j / 4][j % 4], queries.mean[j % 2], cap);
      }
    }
    if (!partial_) return;
#pragma unroll
    for (int j = 0; j < 4 * kPages; ++j) {
      const int position = first_ + g_ + 8 * (j / 2);
      if (position >= seen_.end || position < seen_.first) scores[j / 4][j % 4] = -INFINITY;
    }
  }

  /// out += Vᵀ · p of a page, and the sums of p.
  template <int kCount>
  __device__ __forceinline__ void AddValues(int page, uint32_t p0, uint32_t p1, Sums<kCount>& sums,
                                            int first) const {
    static_assert(kCount == kFragments || kStorage == KvStorage::kF16);
    // What lies at positions that are not seen may be anything.
    uint32_t keep0 = ~0u, keep1 = ~0u;
    if (partial_) {
      const int pair = first_ + page * kPagePositions + 2 * t_;
      keep0 = PairMask(pair);
      keep1 = PairMask(pair + 8);
    }
    uint32_t weighted0 = p0, weighted1 = p1;
    uint32_t extra0 = 0x3C003C00u, extra1 = 0x3C003C00u;  // row 0: ones
    if constexpr (HasScales(kStorage)) {
      const uint32_t* words = reinterpret_cast<const uint32_t*>(Scales(page)) + t_;
      const uint32_t scale0 = words[16] & keep0, scale1 = words[20] & keep1;
      weighted0 = Bits(__hmul2(AsHalf2(p0), AsHalf2(scale0)));
      weighted1 = Bits(__hmul2(AsHalf2(p1), AsHalf2(scale1)));
      if (g_ == 1) extra0 = words[24] & keep0, extra1 = words[28] & keep1;  // offsets
      if (g_ == 2) extra0 = scale0, extra1 = scale1;
    }
    if (g_ > (HasScales(kStorage) ? 2 : 0)) extra0 = extra1 = 0;
    ptx::MmaF16(sums.ends, extra0, 0, extra1, 0, p0, p1);
    // Fragments of fp16 lie 512 bytes apart.
    const char* values = Page(page) + (kCount == kFragments ? 0 : 512 * first);
    ForEachFragment<kFragments, kFragments + kCount>(values, [&](int i, const uint32_t(&v)[4]) {
      float(&out)[4] = sums.out[i - kFragments];
      if constexpr (HasScales(kStorage)) {
        ptx::MmaF16(out, v[0], v[1], v[2], v[3], weighted0, weighted1);
      } else {
        ptx::MmaF16(out, v[0] & keep0, v[1] & keep0, v[2] & keep1, v[3] & keep1, weighted0,
                    weighted1);
      }
    });
  }

  /// Calls body(fragment, its values), for fragments [kFirst, kEnd).
  template <int kFirst, int kEnd, class Body>
  __device__ __forceinline__ void ForEachFragment(const char* page, const Body& body) const {
    if constexpr (kFirst < kEnd) {
      constexpr int kCount = kFirst + kAtOnce <= kEnd ? kAtOnce : kEnd - kFirst;
      uint32_t words[kCount * kWords];
      LoadWords<kFirst * kWords, kCount * kWords>(page, words);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        uint32_t values[4];
        UnpackFragment<kStorage>(words + i * kWords, values);
        body(kFirst + i, values);
      }
      ForEachFragment<kFirst + kCount, kEnd>(page, body);
    }
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

  /// All ones in the halves whose position (first, first + 1) is seen.
  __device__ __forceinline__ uint32_t PairMask(int first) const {
    return (first < seen_.end && first >= seen_.first ? 0x0000FFFFu : 0u) |
           (first + 1 < seen_.end && first + 1 >= seen_.first ? 0xFFFF0000u : 0u);
  }

  const AttentionParams& params_;
  const char* pages_;
  int first_;
  Seen seen_;
  int lane_, g_, t_;
  bool partial_;
};

}  // namespace atom::kernels::cuda::decode
