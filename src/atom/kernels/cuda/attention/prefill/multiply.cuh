// A warpgroup that multiplies: 64 rows of the tile, every tile of positions that one of them sees.
//
//   scores = q · Kᵀ of 64 positions, then of each step of 32: softmax, out += p · V
//
// The arithmetic of a row is the decode kernel's, operation by operation and in the same order; the
// instruction and the roles of the operands differ, and give the same bits.
#pragma once

#include "atom/kernels/cuda/attention/prefill/tile_scores.cuh"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda::prefill {

template <KvStorage kStorage, int kHeadDim, bool kSoftcap>
class MultiplyingWarpgroup {
 public:
  using Sizes = Shape<kStorage, kHeadDim>;
  static constexpr int kFragments = Sizes::kFragments;
  static constexpr bool kTurns = Sizes::kWarpgroups == 2;
  static constexpr uint32_t kOwnBarrier = 1, kTurnBarrier = 3;  // of warpgroup 0
  static constexpr bool kAhead = Sizes::kStages > 1;            // scores are computed a tile ahead

  __device__ MultiplyingWarpgroup(const PrefillAttention& call, const RowTile& rows, char* shared,
                                  int warpgroup)
      : call_(call),
        rows_(rows),
        shared_(shared),
        warpgroup_(warpgroup),
        lane_(threadIdx.x % 32),
        tile_(call.params, lane_) {
    barriers_.base = ptx::SharedAddress(shared + Sizes::kBarriersAt);
    const int thread = threadIdx.x % kWarpgroupThreads;
    row_ = warpgroup * kWarpgroupRows + thread / 32 * 16 + lane_ / 4;
    state_.out = reinterpret_cast<float4*>(shared + Sizes::kStateAt) +
                 warpgroup * (kHeadDim / 8) * kWarpgroupThreads + thread;
  }

  __device__ void Run() {
    queries_.Load(call_, rows_, row_, lane_);
    if constexpr (kSoftcap) queries_.LoadMean(call_, rows_.kv_head, lane_ % 4);
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
    turns_ = rows_.tiles();
    if (kTurns && warpgroup_ == 1) ptx::BarrierArrive(kTurnBarrier, 2 * kWarpgroupThreads);
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

  // Two warpgroups take turns at the tensor cores, tile by tile: left alone they fall into step,
  // and the tensor cores idle while both are busy with their softmax.
  __device__ __forceinline__ void TakeTurn() const {
    if constexpr (kTurns) ptx::BarrierSync(kTurnBarrier + warpgroup_, 2 * kWarpgroupThreads);
  }
  /// Nobody waits for a turn behind the last one.
  __device__ __forceinline__ void PassTurn() {
    if constexpr (kTurns) {
      if (--turns_ == 0 && warpgroup_ == 1) return;
      ptx::BarrierArrive(kTurnBarrier + 1 - warpgroup_, 2 * kWarpgroupThreads);
    }
  }

  /// Tiles that no row of the warpgroup sees.
  __device__ void PassOver(int tiles) {
    for (int n = 0; n < tiles; ++n, stage_.Next()) {
      WaitForStage();
      TakeTurn();
      PassTurn();
      Release(stage_.index);
    }
  }

  /// Tiles [first, last). The tensor cores work on the values of one and the keys of the next while
  /// the other warpgroup makes probabilities of its scores.
  __device__ void AttendAll(int first, int last) {
    sums_.Begin();
    if constexpr (kAhead) {
      WaitForStage();
      MultiplyKeys(Operand(stage_.index));
      tile_.LoadTerms(shared_ + stage_.index * Sizes::kStageBytes);
      ptx::WgmmaWait<0>();
    }
    for (int tile = first; tile < last; ++tile) {
      Attend(tile, last);
      if (tile % kTilesPerSegment == kTilesPerSegment - 1 || tile + 1 == last) {
        state_.Merge(sums_);
        sums_.Begin();
      }
    }
  }

  /// One tile; its scores are there, and those of the next take their place.
  __device__ __forceinline__ void Attend(int tile, int last) {
    const int index = stage_.index;
    const char* stage = shared_ + index * Sizes::kStageBytes;
    if constexpr (!kAhead) {
      WaitForStage();
      MultiplyKeys(Operand(stage_.index));
      ptx::WgmmaWait<0>();
    }
    if constexpr (!kAhead) tile_.LoadTerms(stage);
    tile_.Scale(queries_);
    tile_.Mask(queries_, tile * kTilePositions);
    float largest[kStepsPerTile][2];
    tile_.FindLargest(largest);
    Raise raises[kStepsPerTile];
#pragma unroll
    for (int step = 0; step < kStepsPerTile; ++step) {
      raises[step] = sums_.RaiseMax(largest[step]);
      tile_.Exponentiate(stage, step, sums_.max);
      tile_.AddProbabilities(stage, step, sums_.sums);
    }
    if constexpr (kAhead) {
      if (tile + 1 < last) {
        stage_.Next();
        WaitForStage();
      }
    }
    if (!sums_.empty) sums_.Rescale(raises[0]);
    // Seldom: the second step moves the maximum again, and has to wait for the first one's sums.
    const bool apart =
        ptx::BarrierAny(kOwnBarrier + warpgroup_, kWarpgroupThreads, raises[1].any());
    const uint64_t values = Operand(index), keys = Operand(stage_.index);
    TakeTurn();
    if (apart) {
      MultiplyValues<0, kStepPages>(values);
      ptx::WgmmaCommit();
      ptx::WgmmaWait<0>();
      sums_.Rescale(raises[1]);
      MultiplyValues<kStepPages, kTilePages>(values);
    } else {
      MultiplyValues<0, kTilePages>(values);
    }
    sums_.empty = false;
    if constexpr (kAhead) {
      MultiplyKeys(keys);  // behind the last tile its own keys again: a branch here would cost more
    } else {
      ptx::WgmmaCommit();
    }
    PassTurn();
    if constexpr (kAhead) tile_.LoadTerms(shared_ + stage_.index * Sizes::kStageBytes);
    ptx::WgmmaWait<0>();
    Release(index);
    if constexpr (!kAhead) stage_.Next();
  }

  /// A descriptor of a stage, to which bytes >> 4 can be added. The shuffle says that all lanes
  /// have the same, which wgmma wants to know.
  __device__ __forceinline__ uint64_t Operand(int stage) const {
    return ptx::Swizzle128Descriptor(
        __shfl_sync(~0u, ptx::SharedAddress(shared_) + stage * Sizes::kStageBytes, 0));
  }

  /// scores = q · Kᵀ
  __device__ __forceinline__ void MultiplyKeys(uint64_t stage) {
    using ptx::MmaTypes;
    using ptx::OperandA;
    ptx::WgmmaFence();
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      const uint64_t keys = stage + ((s / 4 * Sizes::kKeyColumnBytes + s % 4 * 32) >> 4);
      if constexpr (Sizes::kQueriesInShared) {
        const uint64_t queries =
            ptx::Swizzle128Descriptor(QueryAddress() + s / 4 * kWarpgroupRows * 128 + s % 4 * 32);
        ptx::Wgmma<MmaTypes::kF16F16, OperandA::kShared, kTilePositions>::Issue(
            tile_.scores, queries, keys, s > 0);
      } else {
        ptx::Wgmma<MmaTypes::kF16F16, OperandA::kRegisters, kTilePositions>::Issue(
            tile_.scores, queries_.fragments[s], keys, s > 0);
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
      Values::Issue(sums_.out, HasScales(kStorage) ? tile_.weighted[i] : tile_.p[i],
                    positions + (Sizes::kValuesAt >> 4), add);
    }
  }

  const PrefillAttention& call_;
  const RowTile& rows_;
  char* shared_;
  int warpgroup_, lane_, row_;
  Barriers<Sizes> barriers_;
  Queries<kHeadDim> queries_;
  TileScores<kStorage, kHeadDim, kSoftcap> tile_;
  RingPosition<Sizes::kStages> stage_;
  int turns_ = 0;  // at the tensor cores, that are left
  SegmentSums<kHeadDim> sums_;
  RowState<kHeadDim> state_;
};

}  // namespace atom::kernels::cuda::prefill
