// A warpgroup that multiplies: 64 rows of the tile, every tile of positions that one of them sees.
//
//   scores = q · Kᵀ of 64 positions, then of each step of 32: softmax, out += p · V
//
// The arithmetic of a row is the decode kernel's, operation by operation and in the same order; the
// instruction and the roles of the operands differ, and give the same bits.
#pragma once

#include "atom/kernels/cuda/attention/prefill/softmax.cuh"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda::prefill {

template <KvStorage kStorage, int kHeadDim, bool kSoftcap>
class MultiplyingWarpgroup {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;
  static constexpr int kFragments = Sizes::kFragments;
  static constexpr uint32_t kOwnBarrier = 1;          // of warpgroup 0
  static constexpr bool kAhead = Sizes::kStages > 1;  // scores are computed a tile ahead

  __device__ MultiplyingWarpgroup(const PrefillAttention& call, const RowTile& rows, char* shared,
                                  int warpgroup)
      : call_(call),
        rows_(rows),
        shared_(shared),
        warpgroup_(warpgroup),
        lane_(threadIdx.x % 32),
        softmax_(call.params, lane_) {
    barriers_.base = ptx::SharedAddress(shared + Sizes::kBarriersAt);
    const int thread = threadIdx.x % kWarpgroupThreads;
    row_ = warpgroup * kWarpgroupRows + thread / 32 * 16 + lane_ / 4;
    state_.out = reinterpret_cast<float4*>(shared + Sizes::kStateAt) +
                 warpgroup * (kHeadDim / 8) * kWarpgroupThreads + thread;
  }

  __device__ void Run() {
    queries_.Load(call_, rows_, row_, lane_);
    if constexpr (Sizes::kQueriesInShared) {
      queries_.Store(QueryAddress(), threadIdx.x % kWarpgroupThreads / 32, lane_);
      ptx::FenceProxyAsync();
      ptx::BarrierSync(kOwnBarrier + warpgroup_, kWarpgroupThreads);
    }
    const int first_query = warpgroup_ * kWarpgroupRows / rows_.group;
    const int last_query =
        min(rows_.count, (warpgroup_ * kWarpgroupRows + kWarpgroupRows - 1) / rows_.group + 1) - 1;
    const int end = rows_.first_tile() + rows_.tiles();
    // The tiles that some row of the warpgroup sees: [first, last).
    int first =
        RowTile::FirstSeen(rows_.first_position + first_query, call_.params) / kTilePositions;
    int last =
        (RowTile::LastSeen(rows_.first_position + last_query, call_.params) + kTilePositions) /
        kTilePositions;
    const bool any = first_query < rows_.count && first < last;
    if (!any) first = last = end;
    PassOver(first - rows_.first_tile());
    if (any) {
      AttendAll(first, last);
      state_.template Finish<kStorage>(call_, rows_, row_, lane_);
      if constexpr (kAhead) stage_.Next();
    }
    PassOver(end - last);
  }

 private:
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

  /// Tiles [first, last). While the scores of one become probabilities, the tensor cores work on
  /// those of the next.
  __device__ void AttendAll(int first, int last) {
    Scores even, odd;
    sums_.Begin();
    if constexpr (kAhead) {
      WaitForStage();
      MultiplyKeys(even);
      softmax_.LoadTerms(shared_ + stage_.index * Sizes::kStageBytes);
      ptx::WgmmaWait<0>();
    }
    for (int tile = first; tile < last; tile += 2) {
      Attend(tile, last, even, odd);
      if (tile + 1 < last) Attend(tile + 1, last, odd, even);
    }
  }

  /// One tile; its scores are there, and those of the next become `next`.
  __device__ __forceinline__ void Attend(int tile, int last, Scores& scores, Scores& next) {
    const int index = stage_.index;
    const char* stage = shared_ + index * Sizes::kStageBytes;
    if constexpr (kAhead) {
      if (tile + 1 < last) {
        stage_.Next();
        WaitForStage();
      }
      MultiplyKeys(next);  // behind the last tile its own keys again: a branch here would cost more
    } else {
      WaitForStage();
      MultiplyKeys(scores);
      softmax_.LoadTerms(stage);
      ptx::WgmmaWait<0>();
    }
    Raise raises[kStepsPerTile];
    softmax_.Compute(scores, stage, tile * kTilePositions, queries_, sums_, raises);
    if (!sums_.empty) sums_.Rescale(raises[0]);
    // Seldom: the second step moves the maximum again, and has to wait for the first one's sums.
    const bool apart =
        ptx::BarrierAny(kOwnBarrier + warpgroup_, kWarpgroupThreads, raises[1].any());
    const uint64_t values = Operand(index);
    if (apart) {
      MultiplyValues<0, kStepPages>(values);
      ptx::WgmmaWait<0>();
      sums_.Rescale(raises[1]);
      MultiplyValues<kStepPages, kTilePages>(values);
    } else {
      MultiplyValues<0, kTilePages>(values);
    }
    sums_.empty = false;
    if constexpr (kAhead) softmax_.LoadTerms(shared_ + stage_.index * Sizes::kStageBytes);
    ptx::WgmmaWait<0>();
    Release(index);
    if constexpr (!kAhead) stage_.Next();
    if (tile % kTilesPerSegment == kTilesPerSegment - 1 || tile + 1 == last) {
      state_.Merge(sums_);
      sums_.Begin();
    }
  }

  /// A descriptor of a stage, to which bytes >> 4 can be added. The shuffle says that all lanes
  /// have the same, which wgmma wants to know.
  __device__ __forceinline__ uint64_t Operand(int stage) const {
    return ptx::Swizzle128Descriptor(
        __shfl_sync(~0u, ptx::SharedAddress(shared_) + stage * Sizes::kStageBytes, 0));
  }

  /// scores = q · Kᵀ of the stage that is next
  __device__ __forceinline__ void MultiplyKeys(Scores& scores) {
    using ptx::MmaTypes;
    using ptx::OperandA;
    const uint64_t stage = Operand(stage_.index);
    ptx::WgmmaFence();
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      const uint64_t keys = stage + ((s / 4 * Sizes::kKeyColumnBytes + s % 4 * 32) >> 4);
      if constexpr (Sizes::kQueriesInShared) {
        const uint64_t queries =
            ptx::Swizzle128Descriptor(QueryAddress() + s / 4 * kWarpgroupRows * 128 + s % 4 * 32);
        ptx::Wgmma<MmaTypes::kF16F16, OperandA::kShared, kTilePositions>::Issue(scores, queries,
                                                                                keys, s > 0);
      } else {
        ptx::Wgmma<MmaTypes::kF16F16, OperandA::kRegisters, kTilePositions>::Issue(
            scores, queries_.fragments[s], keys, s > 0);
      }
    }
    ptx::WgmmaCommit();
  }

  /// out += p · V, of pages [kFirst, kEnd) of the tile.
  template <int kFirst, int kEnd>
  __device__ __forceinline__ void MultiplyValues(uint64_t stage) {
    using Values = ptx::Wgmma<ptx::MmaTypes::kF16F16, ptx::OperandA::kRegisters, kHeadDim>;
    ptx::WgmmaFence();
#pragma unroll
    for (int i = kFirst; i < kEnd; ++i) {
      const uint64_t positions = stage + (i * 2 * kPagePositions >> 4);
      const bool add = i > 0 || !sums_.empty;
      Values::Issue(sums_.out, softmax_.weights(i), positions + (Sizes::kValuesAt >> 4), add);
    }
    ptx::WgmmaCommit();
  }

  const PrefillAttention& call_;
  const RowTile& rows_;
  char* shared_;
  int warpgroup_, lane_, row_;
  Barriers<Sizes> barriers_;
  Queries<kHeadDim> queries_;
  TileSoftmax<kStorage, kHeadDim, kSoftcap> softmax_;
  RingPosition<Sizes::kStages> stage_;
  SegmentSums<kHeadDim> sums_;
  RowState<kHeadDim> state_;
};

}  // namespace atom::kernels::cuda::prefill
