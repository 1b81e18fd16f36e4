// The ring of a streaming GEMM as its producer fills it and as a consumer warpgroup reads it.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_args.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_shape.h"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// What one CTA computes. Slots are counted within the CTA: local slot i is slot i·C + rank of the
/// whole K, where the 4-bit (or dense) slots come first, then those of 8-bit steps.
template <StreamShape kShape>
struct StreamTile {
  int first_row_block;
  int first_token;
  int tokens;  ///< that lie in a slot, a multiple of 8
  int slots4;  ///< of all K
  int slots;   ///< of all K
  int local_slots4;
  int local_slots;
  int rank;

  __device__ StreamTile(const StreamingArgs& args, int row_tile, int token_tile, int cluster_rank)
      : first_row_block(row_tile * kShape.row_blocks),
        first_token(token_tile * kShape.tile_tokens()),
        rank(cluster_rank) {
    const int padded = (args.m + 7) / 8 * 8;
    tokens = min(padded, kShape.tile_tokens());
    slots4 = (args.blocks4 + kShape.units - 1) / kShape.units;
    slots = slots4 + (args.steps8 + kShape.steps8() - 1) / kShape.steps8();
    local_slots4 = (slots4 - rank + kShape.cluster - 1) / kShape.cluster;
    local_slots = (slots - rank + kShape.cluster - 1) / kShape.cluster;
  }
  __device__ int Slot(int local) const { return local * kShape.cluster + rank; }
};

/// Number of the weight that row block `row_block` of the launch belongs to.
__device__ __forceinline__ int WeightOf(const StreamingArgs& args, int row_block) {
  int w = 0;
  while (w + 1 < args.weight_count && row_block >= args.weights[w + 1].first_row_block) ++w;
  return w;
}

/// The producer warp. To begin with, lane i loads slot i, so that all are on their way at once;
/// then, slot after slot, lane r < R loads the weights of row block r and lane R loads x.
template <StreamShape kShape>
class StreamProducer {
 public:
  __device__ StreamProducer(const StreamingArgs& args, const StreamLayout& shared,
                            const StreamTile<kShape>& tile, uint32_t base)
      : args_(args), shared_(shared), tile_(tile), base_(base), lane_(threadIdx.x % 32) {
    // A CTA at the end may have row blocks that do not exist: it computes the last one again.
    const int row_block =
        min(tile.first_row_block + min(lane_, kShape.row_blocks - 1), args.row_blocks - 1);
    const int w = WeightOf(args, row_block);
    const int block = row_block - args.weights[w].first_row_block;
    const int64_t row_block_bytes =
        int64_t{args.blocks4} * kShape.block_bytes() + int64_t{args.steps8} * kStep8Bytes;
    stream_ = args.operands.weights[w].codes + block * row_block_bytes;
    rows_ = args.operands.weights[w].rows + block * kBlockRows;
  }

  __device__ void Run() const {
    const int ahead = min(shared_.slots, tile_.local_slots);
    // Weights do not depend on the kernel before this one: their first slots are on the way while
    // it still runs.
    if (lane_ < ahead) Announce(lane_, lane_);
#pragma unroll
    for (int r = 0; r < kShape.row_blocks; ++r) {
      const auto stream = reinterpret_cast<const uint8_t*>(
          __shfl_sync(~0u, reinterpret_cast<uintptr_t>(stream_), r));
      if (lane_ < ahead) LoadWeights(lane_, lane_, r, stream);
    }
    LoadRowScales();
    ptx::WaitForPredecessors();
    if (lane_ < ahead) LoadX(lane_, lane_);
    if (lane_ == 0) LoadTokenScales();
    int slot = 0;
    uint32_t phase = 0;
    for (int i = ahead; i < tile_.local_slots; ++i) {
      ptx::MbarrierWait(base_ + StreamShape::kEmptyBarriers + 8 * slot, phase);
      if (lane_ == 0) Announce(i, slot);
      if (lane_ < kShape.row_blocks) LoadWeights(i, slot, lane_, stream_);
      if (lane_ == kShape.row_blocks) LoadX(i, slot);
      if (++slot == shared_.slots) {
        slot = 0;
        phase ^= 1;
      }
    }
  }

 private:
  __device__ uint32_t SlotAddress(int slot) const {
    return base_ + kShape.ring() + slot * shared_.slot_bytes;
  }
  __device__ uint32_t Full(int slot) const { return base_ + StreamShape::kFullBarriers + 8 * slot; }
  __device__ uint32_t Side() const { return base_ + StreamShape::kSideBarrier; }
  __device__ bool WholeX() const { return (args_.m + 7) / 8 * 8 <= kShape.tile_tokens(); }
  __device__ int TileTokens() const {
    return min(kShape.tile_tokens(), (args_.m + 7) / 8 * 8 - tile_.first_token);
  }

  struct Range {
    int blocks;       ///< K blocks of x, in atoms a token
    int first_block;  ///< of x
    int64_t from;     ///< bytes into the stream of a row block
    int bytes;        ///< of a row block
    bool scaled;
  };
  __device__ Range RangeOf(int local) const {
    const int slot = tile_.Slot(local);
    if (slot < tile_.slots4) {
      const int first = slot * kShape.units;
      const int units = min(kShape.units, args_.blocks4 - first);
      return {units * kShape.x_atoms(), first * kShape.x_atoms(),
              int64_t{first} * kShape.block_bytes(), units * kShape.block_bytes(),
              kShape.x_has_group_scales() && args_.operands.group_scales != nullptr};
    }
    const int step = (slot - tile_.slots4) * kShape.steps8();
    const int steps = min(kShape.steps8(), args_.steps8 - step);
    // An atom holds four steps of int8 columns, or two of 16-bit ones.
    constexpr int kStepsOfAtom = kShape.x_is_16_bit() ? 2 : 4;
    const int first = step / kStepsOfAtom;
    const int last = (step + steps - 1) / kStepsOfAtom;
    return {last - first + 1, args_.blocks4 * kShape.x_atoms() + first,
            int64_t{args_.blocks4} * kShape.block_bytes() + int64_t{step} * kStep8Bytes,
            steps * static_cast<int>(kStep8Bytes), false};
  }

  /// Tells the slot's barrier how many bytes will come.
  __device__ void Announce(int local, int slot) const {
    const Range range = RangeOf(local);
    const int x_bytes = range.blocks * TileTokens() * (128 + (range.scaled ? 4 : 0));
    ptx::MbarrierArriveExpect(Full(slot), x_bytes + kShape.row_blocks * range.bytes);
  }

  __device__ void LoadWeights(int local, int slot, int row_block, const uint8_t* stream) const {
    const Range range = RangeOf(local);
    ptx::BulkLoad(SlotAddress(slot) + shared_.weights + row_block * kShape.part_bytes(),
                  stream + range.from, range.bytes, Full(slot), ptx::CachePolicy::kEvictFirst);
  }

  __device__ void LoadX(int local, int slot) const {
    const Range range = RangeOf(local);
    const uint32_t full = Full(slot);
    const uint32_t to = SlotAddress(slot);
    const int64_t padded = (args_.m + 7) / 8 * 8;
    const int tokens = TileTokens();
    const int8_t* x = args_.operands.x + (range.first_block * padded + tile_.first_token) * 128;
    const float* scales =
        args_.operands.group_scales + range.first_block * padded + tile_.first_token;
    if (WholeX()) {
      ptx::BulkLoad(to, x, range.blocks * tokens * 128, full);
      if (range.scaled) {
        ptx::BulkLoad(to + shared_.x_scales, scales, range.blocks * tokens * 4, full);
      }
      return;
    }
    for (int b = 0; b < range.blocks; ++b) {
      ptx::BulkLoad(to + b * tile_.tokens * 128, x + b * padded * 128, tokens * 128, full);
      if (range.scaled) {
        ptx::BulkLoad(to + shared_.x_scales + b * tile_.tokens * 4, scales + b * padded, tokens * 4,
                      full);
      }
    }
  }

  /// Row scales and bias of the tile's row blocks; the barrier also counts the token scales.
  __device__ void LoadRowScales() const {
    constexpr int kBytes = kBlockRows * sizeof(RowScales);
    if (lane_ == 0) {
      const int tokens = kHasTokenScales ? TileTokens() : 0;
      ptx::MbarrierArriveExpect(
          Side(), kShape.row_blocks * kBytes + tokens * static_cast<int>(sizeof(TokenScales)));
    }
    if (lane_ < kShape.row_blocks) {
      ptx::BulkLoad(base_ + StreamShape::kRowScales + lane_ * kBytes, rows_, kBytes, Side());
    }
  }
  static constexpr bool kHasTokenScales = !kShape.x_is_16_bit();
  __device__ void LoadTokenScales() const {
    if constexpr (kHasTokenScales) {
      ptx::BulkLoad(base_ + kShape.token_scales(), args_.operands.tokens + tile_.first_token,
                    TileTokens() * static_cast<int>(sizeof(TokenScales)), Side());
    }
  }

  const StreamingArgs& args_;
  const StreamLayout& shared_;
  const StreamTile<kShape>& tile_;
  uint32_t base_;
  int lane_;
  const uint8_t* stream_;
  const RowScales* rows_;
};

/// One consumer warpgroup's walk over the slots of its way.
template <StreamShape kShape>
class StreamReader {
 public:
  __device__ StreamReader(const StreamLayout& shared, uint32_t base, int first_slot)
      : shared_(shared), base_(base), slot_(first_slot) {
    while (slot_ >= shared.slots) {
      slot_ -= shared.slots;
      phase_ ^= 1;
    }
  }

  /// Until the slot's bytes have landed; its address.
  __device__ uint32_t Wait() const {
    ptx::MbarrierWait(base_ + StreamShape::kFullBarriers + 8 * slot_, phase_);
    return base_ + kShape.ring() + slot_ * shared_.slot_bytes;
  }
  /// This warp has read the slot.
  __device__ void Release() const {
    if (threadIdx.x % 32 == 0) ptx::MbarrierArrive(base_ + StreamShape::kEmptyBarriers + 8 * slot_);
  }
  __device__ void Advance(int slots) {
    slot_ += slots;
    while (slot_ >= shared_.slots) {
      slot_ -= shared_.slots;
      phase_ ^= 1;
    }
  }

 private:
  const StreamLayout& shared_;
  uint32_t base_;
  int slot_;
  uint32_t phase_ = 0;
};

}  // namespace atom::kernels::cuda
