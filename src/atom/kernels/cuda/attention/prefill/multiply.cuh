// A warpgroup that multiplies: 64 rows of the tile, every tile of positions that one of them sees.
//
//   scores = q · Kᵀ of 64 positions, then of each step of 32: softmax, out += p · V
//
// The arithmetic of a row is the decode kernel's, operation by operation and in the same order; the
// instruction and the roles of the operands differ, and give the same bits.
#pragma once

#include "atom/kernels/cuda/attention/prefill/queries.cuh"
#include "atom/kernels/cuda/attention/prefill/sums.cuh"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda::prefill {

template <KvStorage kStorage, int kHeadDim>
class MultiplyingWarpgroup {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;
  static constexpr int kFragments = Sizes::kFragments;
  static constexpr bool kAhead = Sizes::kStages > 1;  // scores are begun a tile ahead

  __device__ MultiplyingWarpgroup(const PrefillAttention& call, const RowTile& rows, char* shared,
                                  int warpgroup)
      : call_(call),
        rows_(rows),
        shared_(shared),
        warpgroup_(warpgroup),
        lane_(threadIdx.x % 32),
        t_(lane_ % 4) {
    barriers_.base = ptx::SharedAddress(shared + Sizes::kBarriersAt);
    const int thread = threadIdx.x % kWarpgroupThreads;
    row_ = warpgroup * kWarpgroupRows + thread / 32 * 16 + lane_ / 4;
    state_.out = reinterpret_cast<float4*>(shared + Sizes::kStateAt) +
                 warpgroup * (kHeadDim / 8) * kWarpgroupThreads + thread;
    score_scale_ = call.params.scale * 1.4426950408889634f;
  }

  __device__ void Run() {
    queries_.Load(call_, rows_, row_, lane_);
    if constexpr (Sizes::kQueriesInShared) {
      queries_.Store(QueryAddress(), threadIdx.x % kWarpgroupThreads / 32, lane_);
      ptx::FenceProxyAsync();
      ptx::BarrierSync(1 + warpgroup_, kWarpgroupThreads);
    }
    const int first_query = warpgroup_ * kWarpgroupRows / rows_.group;
    const int last_query =
        min(rows_.count, (warpgroup_ * kWarpgroupRows + kWarpgroupRows - 1) / rows_.group + 1) - 1;
    const int window = call_.params.window, end = rows_.first_tile() + rows_.tiles();
    // The tiles that some row of the warpgroup sees: [first, last).
    const bool any = first_query < rows_.count;
    const int first =
        any ? RowTile::FirstSeen(rows_.first_position + first_query, window) / kTilePositions : end;
    const int last = any ? (rows_.first_position + last_query) / kTilePositions + 1 : end;
    PassOver(first - rows_.first_tile());
    if (any) {
      AttendAll(first, last);
      state_.template Finish<kStorage>(call_, rows_, row_, lane_);
      if constexpr (kAhead) stage_.Next();
    }
    PassOver(end - last);
  }

 private:
  /// Of a tile: [4 j + i] is row g + 8 (i/2), position 8 j + 2 t + i%2.
  using Scores = float[kTilePositions / 2];

  __device__ uint32_t QueryAddress() const {
    return ptx::SharedAddress(shared_ + Sizes::kQueriesAt) +
           warpgroup_ * kWarpgroupRows * kHeadDim * 2;
  }

  __device__ __forceinline__ void WaitForStage() const {
    ptx::MbarrierWait(barriers_.Full(stage_.index), stage_.parity);
  }
  __device__ __forceinline__ void Release(int stage) const {
    if (lane_ == 0) ptx::MbarrierArrive(barriers_.Empty(stage));
  }

  /// Tiles that no row of the warpgroup sees.
  __device__ void PassOver(int tiles) {
    for (int n = 0; n < tiles; ++n, stage_.Next()) {
      WaitForStage();
      Release(stage_.index);
    }
  }

  /// Tiles [first, last). While the scores of one become probabilities, the tensor cores work on the
  /// scores of the next and the values of the one before:
  ///
  ///   tensor cores   | V of n−1, step 1 | V of n, step 0 | K of n+1 | V of n, step 1 | ...
  ///   softmax          n, step 0         | n, step 1                 | n+1, step 0
  __device__ void AttendAll(int first, int last) {
    Scores even, odd;
    if constexpr (kAhead) {
      WaitForStage();
      MultiplyKeys(even);
      ptx::WgmmaWait<0>();
    }
    sums_.Begin();
    for (int tile = first; tile < last; tile += 2) {
      Attend(tile, last, even, odd);
      if (tile + 1 < last) Attend(tile + 1, last, odd, even);
    }
  }

  /// One tile; `scores` are under way, `next` become those of the tile behind it.
  __device__ __forceinline__ void Attend(int tile, int last, Scores& scores, Scores& next) {
    const int stage_index = stage_.index;
    const char* stage = shared_ + stage_index * Sizes::kStageBytes;
    const int first = tile * kTilePositions;
    uint32_t p[kStepPages][4], weighted[kStepPages][4];
    if constexpr (!kAhead) {
      WaitForStage();
      MultiplyKeys(scores);
      ptx::WgmmaWait<0>();
    } else if (tile + 1 < last) {
      stage_.Next();
      WaitForStage();
    }
    Softmax(scores, stage, 0, first, p, weighted);
    sums_.Rescale();
    MultiplyValues(stage, 0, p, weighted);
    if constexpr (kAhead) MultiplyKeys(next);  // behind the last tile its own keys again: a branch here would cost more
    uint32_t p1[kStepPages][4], weighted1[kStepPages][4];
    Softmax(scores, stage, 1, first, p1, weighted1);
    ptx::WgmmaWait<kAhead ? 1 : 0>();
    sums_.Rescale();
    MultiplyValues(stage, 1, p1, weighted1);
    ptx::WgmmaWait<0>();
    Release(stage_index);
    if constexpr (!kAhead) stage_.Next();
    if (tile % kTilesPerSegment == kTilesPerSegment - 1 || tile + 1 == last) {
      state_.Merge(sums_);
      sums_.Begin();
    }
  }

  /// The probabilities of a step, and the factor for what was added before.
  __device__ __forceinline__ void Softmax(Scores& scores, const char* stage, int step, int first,
                                          uint32_t (&p)[kStepPages][4],
                                          uint32_t (&weighted)[kStepPages][4]) {
    float* s = scores + 16 * step;
    ScaleScores(s, stage, step);
    Mask(s, first + step * kStepPositions);
    float low = -INFINITY, high = -INFINITY;
#pragma unroll
    for (int i = 0; i < 16; i += 4) {
      low = fmaxf(low, fmaxf(s[i], s[i + 1]));
      high = fmaxf(high, fmaxf(s[i + 2], s[i + 3]));
    }
    sums_.RaiseMax(low, high);
    Exponentials(s, stage, step, p, weighted);
  }

  /// A descriptor of the stage, which the compiler knows to be the same in all lanes; `>> 4` bytes
  /// can be added to it.
  __device__ __forceinline__ uint64_t Operand(const char* stage) const {
    return ptx::Swizzle128Descriptor(__shfl_sync(~0u, ptx::SharedAddress(stage), 0));
  }

  /// Of the stage that is next.
  __device__ __forceinline__ void MultiplyKeys(Scores& scores) {
    using ptx::MmaTypes;
    using ptx::OperandA;
    const uint64_t stage = Operand(shared_ + stage_.index * Sizes::kStageBytes);
    ptx::WgmmaFence();
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      const uint64_t keys = stage + ((s / 4 * Sizes::kKeyColumnBytes + s % 4 * 32) >> 4);
      if constexpr (Sizes::kQueriesInShared) {
        const uint64_t queries = ptx::Swizzle128Descriptor(
            QueryAddress() + s / 4 * kWarpgroupRows * 128 + s % 4 * 32);
        ptx::Wgmma<MmaTypes::kF16F16, OperandA::kShared, kTilePositions>::Issue(scores, queries,
                                                                                keys, s > 0);
      } else {
        ptx::Wgmma<MmaTypes::kF16F16, OperandA::kRegisters, kTilePositions>::Issue(
            scores, queries_.fragments[s], keys, s > 0);
      }
    }
    ptx::WgmmaCommit();
  }

  /// Scores of a step, in units of log2(e).
  __device__ __forceinline__ void ScaleScores(float* scores, const char* stage, int step) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float4 terms = {score_scale_, 0.0f, score_scale_, 0.0f};  // a, b of two positions
      if constexpr (HasScales(kStorage)) {
        terms = reinterpret_cast<const float4*>(stage + Sizes::kTermsAt)[4 * (4 * step + j) + t_];
      }
      float* s = scores + 4 * j;
      s[0] = Score(s[0], terms.x, terms.y, queries_.sum[0]);
      s[1] = Score(s[1], terms.z, terms.w, queries_.sum[0]);
      s[2] = Score(s[2], terms.x, terms.y, queries_.sum[1]);
      s[3] = Score(s[3], terms.z, terms.w, queries_.sum[1]);
    }
    if (call_.params.softcap > 0) {
      const float cap = call_.params.softcap * 1.4426950408889634f;
#pragma unroll
      for (int i = 0; i < 16; ++i) scores[i] = Softcap(scores[i], cap);
    }
  }

  /// Positions that a row does not see, of those from `first` on.
  __device__ __forceinline__ void Mask(float* scores, int first) const {
    const int window = call_.params.window, end = first + kStepPositions;
    // One decision for the warp: whether some row does not see all of the step.
    bool partial = false;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int position = queries_.position[h];
      partial |= end - 1 > position || (window > 0 && first <= position - window);
    }
    if (!__any_sync(~0u, partial)) return;
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const int position = first + i / 4 * 8 + 2 * t_ + i % 2;
      const int row = queries_.position[i / 2 % 2];
      if (position > row || (window > 0 && position <= row - window)) scores[i] = -INFINITY;
    }
  }

  /// p = fp16(2^(score − max)), and p · scale of the value, as A operands of 16 positions each.
  __device__ __forceinline__ void Exponentials(const float* scores, const char* stage,
                                               int step, uint32_t (&p)[kStepPages][4],
                                               uint32_t (&weighted)[kStepPages][4]) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float* s = scores + 4 * j;
      uint32_t* low = p[j / 2] + 2 * (j % 2);
      low[0] = Bits(__floats2half2_rn(ptx::Exp2(s[0] - sums_.max[0]), ptx::Exp2(s[1] - sums_.max[0])));
      low[1] = Bits(__floats2half2_rn(ptx::Exp2(s[2] - sums_.max[1]), ptx::Exp2(s[3] - sums_.max[1])));
      if constexpr (HasScales(kStorage)) {
        const uint32_t scale = *reinterpret_cast<const uint32_t*>(
            stage + Sizes::kSumsAt + 256 + (((4 * step + j) ^ 2) << 4) + 4 * t_);
        uint32_t* to = weighted[j / 2] + 2 * (j % 2);
        to[0] = Bits(__hmul2(AsHalf2(low[0]), AsHalf2(scale)));
        to[1] = Bits(__hmul2(AsHalf2(low[1]), AsHalf2(scale)));
      }
    }
  }

  /// out += p · V, and the sums of p.
  __device__ __forceinline__ void MultiplyValues(const char* stage, int step,
                                                 const uint32_t (&p)[kStepPages][4],
                                                 const uint32_t (&weighted)[kStepPages][4]) {
    using Values = ptx::Wgmma<ptx::MmaTypes::kF16F16, ptx::OperandA::kRegisters, kHeadDim>;
    using Ends = ptx::Wgmma<ptx::MmaTypes::kF16F16, ptx::OperandA::kRegisters, 8>;
    const uint64_t operand = Operand(stage);
    ptx::WgmmaFence();
#pragma unroll
    for (int i = 0; i < kStepPages; ++i) {
      const uint64_t positions = operand + ((kStepPages * step + i) * 2 * kPagePositions >> 4);
      const bool add = step > 0 || i > 0 || !sums_.empty;
      Ends::Issue(sums_.sums, p[i], positions + (Sizes::kSumsAt >> 4), add);
      Values::Issue(sums_.out, HasScales(kStorage) ? weighted[i] : p[i],
                    positions + (Sizes::kValuesAt >> 4), add);
    }
    ptx::WgmmaCommit();
    sums_.empty = false;
  }

  const PrefillAttention& call_;
  const RowTile& rows_;
  char* shared_;
  int warpgroup_, lane_, t_, row_;
  float score_scale_;
  Barriers<Sizes> barriers_;
  Queries<kHeadDim> queries_;
  Turn<Sizes::kStages> stage_;
  SegmentSums<kHeadDim> sums_;
  RowState<kHeadDim> state_;
};

}  // namespace atom::kernels::cuda::prefill
