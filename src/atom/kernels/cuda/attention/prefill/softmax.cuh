// From the scores of a tile to its probabilities: scales and offsets of the keys, softcap, mask,
// the reference maximum of each step, 2^(score − max), and their sums. A lane has rows g and g + 8
// of its warp's 16.
#pragma once

#include "atom/kernels/cuda/attention/prefill/queries.cuh"
#include "atom/kernels/cuda/attention/prefill/sums.cuh"

namespace atom::kernels::cuda::prefill {

/// Of a tile, a lane's: [4 j + i] is row g + 8 (i/2), position 8 j + 2 t + i%2.
using Scores = float[kTilePositions / 2];

template <KvStorage kStorage, int kHeadDim, bool kSoftcap>
class TileSoftmax {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;
  static constexpr int kEarlyTerms = 2;  // columns; more would not fit into the registers

  __device__ TileSoftmax(const AttentionParams& params, int lane) : params_(params), t_(lane % 4) {
    score_scale_ = params.scale * 1.4426950408889634f;
    sums_row_ = min(lane / 4, 3) * Sizes::kSumsRowBytes + 4 * t_;
  }

  /// Those of the first columns, begun before their scores are needed.
  __device__ __forceinline__ void LoadTerms(const char* stage) {
#pragma unroll
    for (int j = 0; j < kEarlyTerms; ++j) terms_[j] = Terms(stage, j);
  }

  /// Probabilities of a tile, from position `first` on, and how its steps move the maximum.
  __device__ __forceinline__ void Compute(Scores& scores, const char* stage, int first,
                                          const Queries<kHeadDim>& queries,
                                          SegmentSums<kHeadDim>& sums,
                                          Raise (&raises)[kStepsPerTile]) {
    ScaleScores(scores, stage, queries);
    Mask(scores, first, queries);
    float largest[kStepsPerTile][2];  // of a step: rows g and g + 8
#pragma unroll
    for (int step = 0; step < kStepsPerTile; ++step) {
      const float* s = scores + step * 16;
      float low = fmaxf(s[0], s[1]), high = fmaxf(s[2], s[3]);
#pragma unroll
      for (int i = 4; i < 16; i += 4) {
        low = fmaxf(low, fmaxf(s[i], s[i + 1]));
        high = fmaxf(high, fmaxf(s[i + 2], s[i + 3]));
      }
      largest[step][0] = low, largest[step][1] = high;
    }
#pragma unroll
    for (int distance = 1; distance < 4; distance *= 2) {
#pragma unroll
      for (int i = 0; i < 2 * kStepsPerTile; ++i) {
        float& x = largest[i / 2][i % 2];
        x = fmaxf(x, __shfl_xor_sync(~0u, x, distance));
      }
    }
#pragma unroll
    for (int step = 0; step < kStepsPerTile; ++step) {
      raises[step] = sums.RaiseMax(largest[step]);
      Exponentials(scores, stage, step, sums);
      AddProbabilities(stage, step, sums);
    }
  }

  /// What page i's values are multiplied by: p, times the scale of the value; an A operand.
  __device__ __forceinline__ const uint32_t (&weights(int i) const)[4] {
    return HasScales(kStorage) ? weighted_[i] : p_[i];
  }

 private:
  /// (a, b) of KeyTerms of two positions, for this lane's columns 8 j + 2t, + 1.
  __device__ __forceinline__ float4 Terms(const char* stage, int j) const {
    if constexpr (!HasScales(kStorage)) return {score_scale_, 0.0f, score_scale_, 0.0f};
    return reinterpret_cast<const float4*>(stage + Sizes::kTermsAt)[4 * j + t_];
  }

  /// Into units of log2(e).
  __device__ __forceinline__ void ScaleScores(Scores& scores, const char* stage,
                                              const Queries<kHeadDim>& queries) const {
    constexpr int kColumns = kTilePositions / 8;
    float4 late[kColumns - kEarlyTerms];
#pragma unroll
    for (int j = kEarlyTerms; j < kColumns; ++j) late[j - kEarlyTerms] = Terms(stage, j);
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      const float4 terms = j < kEarlyTerms ? terms_[j] : late[j - kEarlyTerms];
      float* s = scores + 4 * j;
      s[0] = Score(s[0], terms.x, terms.y, queries.sum[0]);
      s[1] = Score(s[1], terms.z, terms.w, queries.sum[0]);
      s[2] = Score(s[2], terms.x, terms.y, queries.sum[1]);
      s[3] = Score(s[3], terms.z, terms.w, queries.sum[1]);
    }
    if constexpr (kSoftcap) {
      const float cap = params_.softcap * 1.4426950408889634f;
#pragma unroll
      for (int i = 0; i < kTilePositions / 2; ++i) scores[i] = Softcap(scores[i], cap);
    }
  }

  /// Positions that a row does not see, of the tile from `first` on.
  __device__ __forceinline__ void Mask(Scores& scores, int first,
                                       const Queries<kHeadDim>& queries) const {
    const int end = first + kTilePositions;
    // One decision for the warp: whether some row does not see all of the tile.
    bool partial = false;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      partial |= end - 1 > queries.last[h] || first < queries.first[h];
    }
    if (!__any_sync(~0u, partial)) return;
#pragma unroll
    for (int i = 0; i < kTilePositions / 2; ++i) {
      const int position = first + i / 4 * 8 + 2 * t_ + i % 2, h = i / 2 % 2;
      if (position > queries.last[h] || position < queries.first[h]) scores[i] = -INFINITY;
    }
  }

  /// p = fp16(2^(score − max)), and p · scale of the value, as A operands of 16 positions each.
  __device__ __forceinline__ void Exponentials(const Scores& scores, const char* stage, int step,
                                               const SegmentSums<kHeadDim>& sums) {
    const float low = sums.max[0], high = sums.max[1];
#pragma unroll
    for (int j = 4 * step; j < 4 * step + 4; ++j) {
      const float* s = scores + 4 * j;
      uint32_t* p = p_[j / 2] + 2 * (j % 2);
      p[0] = Bits(__floats2half2_rn(ptx::Exp2(s[0] - low), ptx::Exp2(s[1] - low)));
      p[1] = Bits(__floats2half2_rn(ptx::Exp2(s[2] - high), ptx::Exp2(s[3] - high)));
      if constexpr (HasScales(kStorage)) {
        const uint32_t scale = *reinterpret_cast<const uint32_t*>(
            stage + Sizes::kSumsAt + 2 * Sizes::kSumsRowBytes + 16 * j + 4 * t_);
        uint32_t* to = weighted_[j / 2] + 2 * (j % 2);
        to[0] = Bits(__hmul2(AsHalf2(p[0]), AsHalf2(scale)));
        to[1] = Bits(__hmul2(AsHalf2(p[1]), AsHalf2(scale)));
      }
    }
  }

  /// The sums of p, of p · offset and of p · scale. A warp's product: columns are few.
  __device__ __forceinline__ void AddProbabilities(const char* stage, int step,
                                                   SegmentSums<kHeadDim>& sums) const {
    const char* row = stage + Sizes::kSumsAt + sums_row_;
#pragma unroll
    for (int i = kStepPages * step; i < kStepPages * (step + 1); ++i) {
      const uint32_t low = *reinterpret_cast<const uint32_t*>(row + 32 * i);
      const uint32_t high = *reinterpret_cast<const uint32_t*>(row + 32 * i + 16);
      ptx::MmaF16(sums.sums, p_[i][0], p_[i][1], p_[i][2], p_[i][3], low, high);
    }
  }

  const AttentionParams& params_;
  int t_;
  int sums_row_;  // bytes from `sums` of a stage: row g, positions 2t, 2t + 1
  float score_scale_;
  float4 terms_[kEarlyTerms];
  uint32_t p_[kTilePages][4], weighted_[kTilePages][4];
};

}  // namespace atom::kernels::cuda::prefill
