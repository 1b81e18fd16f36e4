// How the ring of a streaming GEMM is filled.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_tile.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// A producer thread: one lane of each warp of the producer warpgroup. Even warps load weights, odd
/// ones x and the side tables; with an even number of slots two of each take turns. A slot is full
/// when both kinds have said how many bytes come, and these have come.
template <StreamShape kShape>
class StreamProducer {
 public:
  __device__ StreamProducer(const StreamingArgs& args, const StreamLayout& shared,
                            const StreamTile<kShape>& tile, uint32_t base)
      : args_(args),
        shared_(shared),
        tile_(tile),
        base_(base),
        padded_((args.m + 7) / 8 * 8),
        tokens_(min(kShape.tile_tokens(), (tile.EndToken(args) + 7) / 8 * 8 - tile.first_token)) {}

  __device__ void Run(int warp) const {
    const int step = shared_.slots % 2 == 0 ? 2 : 1;
    const int first = warp / 2;
    if (first >= step) return;
    if (warp % 2 == 0) {
      // Weights do not depend on the kernel before this one: their first slots are on the way while
      // it still runs.
      LoadWeights(first, step);
    } else {
      if (first == 0) LoadRowScales();
      ptx::WaitForPredecessors();
      if (first == 0) LoadTokenScales();
      LoadX(first, step);
    }
  }

 private:
  /// Goes through the ring's slots `first`, `first` + `step`, …: calls load(slot of all K, address
  /// of the slot, its barrier) when the slot is empty.
  template <class Load>
  __device__ void ForEachSlot(int first, int step, const Load& load) const {
    int slot = first;
    uint32_t parity = 1;  // a fresh barrier lets pass
    for (int i = first; i < tile_.local_slots; i += step) {
      ptx::MbarrierWait(base_ + StreamShape::kEmptyBarriers + 8 * slot, parity);
      load(tile_.Slot(i), base_ + kShape.ring() + slot * shared_.slot_bytes,
           base_ + StreamShape::kFullBarriers + 8 * slot);
      slot += step;
      if (slot >= shared_.slots) {
        slot -= shared_.slots;
        parity ^= 1;
      }
    }
  }

  __device__ void LoadWeights(int first, int step) const {
    int64_t row_block_bytes =
        int64_t{args_.blocks4} * kShape.block_bytes() + int64_t{args_.steps8} * kStep8Bytes;
    if constexpr (kShape.recipe == GemmRecipe::kDense || kShape.recipe == GemmRecipe::kInt8) {
      row_block_bytes = SpreadBytes(row_block_bytes);
    }
    const uint8_t* streams[kShape.row_blocks];
#pragma unroll
    for (int r = 0; r < kShape.row_blocks; ++r) {
      const int row_block = RowBlock(r);
      const int w = WeightOf(args_, row_block);
      streams[r] = WeightAt(args_, tile_, w).codes +
                   (row_block - args_.weights[w].first_row_block) * row_block_bytes;
    }
    ForEachSlot(first, step, [&](int slot, uint32_t to, uint32_t full) {
      int64_t from = int64_t{slot} * kShape.part_bytes();
      int bytes = kShape.part_bytes();
      if (slot >= tile_.slots4) {
        const int first_step = (slot - tile_.slots4) * kShape.steps8();
        from = int64_t{args_.blocks4} * kShape.block_bytes() + int64_t{first_step} * kStep8Bytes;
        bytes = min(kShape.steps8(), args_.steps8 - first_step) * static_cast<int>(kStep8Bytes);
      } else if (kShape.units > 1) {
        bytes = min(kShape.units, args_.blocks4 - slot * kShape.units) * kShape.block_bytes();
      }
      ptx::MbarrierArriveExpect(full, kShape.row_blocks * bytes);
#pragma unroll
      for (int r = 0; r < kShape.row_blocks; ++r) {
        ptx::BulkLoad(to + shared_.weights + r * kShape.part_bytes(), streams[r] + from, bytes,
                      full, ptx::CachePolicy::kEvictFirst);
      }
    });
  }

  __device__ void LoadX(int first, int step) const {
    const bool whole = !kShape.experts && padded_ <= kShape.tile_tokens();
    const bool scaled = kShape.x_has_group_scales() && args_.operands.group_scales != nullptr;
    const int8_t* const x = args_.operands.x + tile_.first_token * 128;
    ForEachSlot(first, step, [&](int slot, uint32_t to, uint32_t full) {
      int first_block = slot * kShape.units * kShape.x_atoms();
      int blocks = kShape.x_atoms();
      bool scales = scaled;
      if (slot >= tile_.slots4) {
        // An atom holds four steps of int8 columns, or two of 16-bit ones.
        constexpr int kStepsOfAtom = kShape.x_is_16_bit() ? 2 : 4;
        const int first_step = (slot - tile_.slots4) * kShape.steps8();
        const int end = first_step + min(kShape.steps8(), args_.steps8 - first_step);
        first_block = first_step / kStepsOfAtom;
        blocks = (end + kStepsOfAtom - 1) / kStepsOfAtom - first_block;
        first_block += args_.x_blocks4;
        scales = false;
      } else if (kShape.units > 1) {
        blocks *= min(kShape.units, args_.blocks4 - slot * kShape.units);
      }
      ptx::MbarrierArriveExpect(full, blocks * tokens_ * (scales ? 132 : 128));
      const int8_t* from = x + int64_t{first_block} * padded_ * 128;
      if (whole) {
        ptx::BulkLoad(to, from, blocks * tokens_ * 128, full);
        if (scales) {
          ptx::BulkLoad(to + shared_.x_scales, args_.operands.group_scales + first_block * padded_,
                        blocks * tokens_ * 4, full);
        }
        return;
      }
      for (int b = 0; b < blocks; ++b) {
        ptx::BulkLoad(to + b * tile_.tokens * 128, from, tokens_ * 128, full);
        from += int64_t{padded_} * 128;
        if (scales) {
          ptx::BulkLoad(
              to + shared_.x_scales + b * tile_.tokens * 4,
              args_.operands.group_scales + (first_block + b) * padded_ + tile_.first_token,
              tokens_ * 4, full);
        }
      }
    });
  }

  /// Row scales and bias of the tile's row blocks; the barrier also counts the token scales.
  __device__ void LoadRowScales() const {
    constexpr int kBytes = kBlockRows * sizeof(RowScales);
    const uint32_t side = base_ + StreamShape::kSideBarrier;
    const int token_bytes = kHasTokenScales ? tokens_ * static_cast<int>(sizeof(TokenScales)) : 0;
    ptx::MbarrierArriveExpect(side, kShape.row_blocks * kBytes + token_bytes);
#pragma unroll
    for (int r = 0; r < kShape.row_blocks; ++r) {
      const int row_block = RowBlock(r);
      const int w = WeightOf(args_, row_block);
      ptx::BulkLoad(base_ + StreamShape::kRowScales + r * kBytes,
                    WeightAt(args_, tile_, w).rows +
                        (row_block - args_.weights[w].first_row_block) * kBlockRows,
                    kBytes, side);
    }
  }
  static constexpr bool kHasTokenScales = !kShape.x_is_16_bit();
  __device__ void LoadTokenScales() const {
    if constexpr (kHasTokenScales) {
      ptx::BulkLoad(base_ + kShape.token_scales(), args_.operands.tokens + tile_.first_token,
                    tokens_ * static_cast<int>(sizeof(TokenScales)),
                    base_ + StreamShape::kSideBarrier);
    }
  }

  /// A CTA at the end may have row blocks that do not exist: it computes the last one again.
  __device__ int RowBlock(int r) const {
    return min(tile_.first_row_block + r, args_.row_blocks - 1);
  }

  const StreamingArgs& args_;
  const StreamLayout& shared_;
  const StreamTile<kShape>& tile_;
  uint32_t base_;
  int padded_;  ///< tokens of the launch, a multiple of 8
  int tokens_;  ///< of this tile, a multiple of 8
};

}  // namespace atom::kernels::cuda
