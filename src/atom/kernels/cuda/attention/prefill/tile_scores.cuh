// The scores of a warpgroup's 64 rows and a tile of 64 positions, on their way from the product of
// queries and keys to the probabilities that values are multiplied by. A lane has rows g and g + 8
// of its warp's 16; everything is the decode kernel's arithmetic, operation by operation.
#pragma once

#include "atom/kernels/cuda/attention/prefill/queries.cuh"
#include "atom/kernels/cuda/attention/prefill/sums.cuh"

namespace atom::kernels::cuda::prefill {

template <KvStorage kStorage, int kHeadDim, bool kSoftcap>
struct TileScores {
  using Sizes = Shape<kStorage, kHeadDim>;

  float scores[kTilePositions / 2];  // [4 j + i]: row g + 8 (i/2), position 8 j + 2 t + i%2
  float4 terms[kTilePositions / 8];  // (a, b) of KeyTerms of two positions
  // A operands of 16 positions each: p = fp16(2^(score − max)), and p · scale of the value.
  uint32_t p[kTilePages][4], weighted[kTilePages][4];

  __device__ TileScores(const AttentionParams& params, int lane)
      : scale_(params.scale * 1.4426950408889634f),
        cap_(params.softcap * 1.4426950408889634f),
        t_(lane % 4),
        sums_row_(min(lane / 4, 3) * Sizes::kSumsRowBytes + 4 * t_) {}

  /// Begun before the scores are there.
  __device__ __forceinline__ void LoadTerms(const char* stage) {
    if constexpr (HasScales(kStorage)) {
#pragma unroll
      for (int j = 0; j < kTilePositions / 8; ++j) {
        terms[j] = reinterpret_cast<const float4*>(stage + Sizes::kTermsAt)[4 * j + t_];
      }
    }
  }

  /// Into units of log2(e).
  __device__ __forceinline__ void Scale(const Queries<kHeadDim>& queries) {
#pragma unroll
    for (int j = 0; j < kTilePositions / 8; ++j) {
      float4 ab = {scale_, 0.0f, scale_, 0.0f};
      if constexpr (HasScales(kStorage)) ab = terms[j];
      float* s = scores + 4 * j;
      s[0] = Score(s[0], ab.x, ab.y, queries.sum[0]);
      s[1] = Score(s[1], ab.z, ab.w, queries.sum[0]);
      s[2] = Score(s[2], ab.x, ab.y, queries.sum[1]);
      s[3] = Score(s[3], ab.z, ab.w, queries.sum[1]);
    }
    if constexpr (kSoftcap) {
#pragma unroll
      for (int i = 0; i < kTilePositions / 2; ++i) {
        scores[i] = Softcap(scores[i], queries.mean[i / 2 % 2], cap_);
      }
    }
  }

  /// Positions that a row does not see, of the tile from `first` on.
  __device__ __forceinline__ void Mask(const Queries<kHeadDim>& queries, int first) {
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

  /// The largest score of each step: of rows g and g + 8.
  __device__ __forceinline__ void FindLargest(float (&largest)[kStepsPerTile][2]) const {
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
  }

  /// The probabilities of a step, relative to the reference maxima of rows g and g + 8.
  __device__ __forceinline__ void Exponentiate(const char* stage, int step, const float (&max)[2]) {
    const float low = max[0], high = max[1];
#pragma unroll
    for (int j = 4 * step; j < 4 * step + 4; ++j) {
      const float* s = scores + 4 * j;
      uint32_t* to = p[j / 2] + 2 * (j % 2);
      to[0] = Bits(__floats2half2_rn(ptx::Exp2(s[0] - low), ptx::Exp2(s[1] - low)));
      to[1] = Bits(__floats2half2_rn(ptx::Exp2(s[2] - high), ptx::Exp2(s[3] - high)));
      if constexpr (HasScales(kStorage)) {
        const uint32_t scale = *reinterpret_cast<const uint32_t*>(
            stage + Sizes::kSumsAt + 2 * Sizes::kSumsRowBytes + 16 * j + 4 * t_);
        uint32_t* product = weighted[j / 2] + 2 * (j % 2);
        product[0] = Bits(__hmul2(AsHalf2(to[0]), AsHalf2(scale)));
        product[1] = Bits(__hmul2(AsHalf2(to[1]), AsHalf2(scale)));
      }
    }
  }

  /// The sums of p, of p · offset and of p · scale. A warp's product: columns are few.
  __device__ __forceinline__ void AddProbabilities(const char* stage, int step,
                                                   float (&sums)[4]) const {
    const char* row = stage + Sizes::kSumsAt + sums_row_;
#pragma unroll
    for (int i = kStepPages * step; i < kStepPages * (step + 1); ++i) {
      const uint32_t low = *reinterpret_cast<const uint32_t*>(row + 32 * i);
      const uint32_t high = *reinterpret_cast<const uint32_t*>(row + 32 * i + 16);
      ptx::MmaF16(sums, p[i][0], p[i][1], p[i][2], p[i][3], low, high);
    }
  }

 private:
  float scale_, cap_;
  int t_;
  int sums_row_;  // bytes from `sums` of a stage: row g, positions 2t, 2t + 1
};

}  // namespace atom::kernels::cuda::prefill
