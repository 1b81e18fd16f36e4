// Which part of the product a CTA computes.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_args.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_shape.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

struct ExpertSlice {
  int expert;
  int first_token;
  int end_token;  ///< of the expert
};

/// The `tile`-th token tile of all experts; none left: no tokens. All lanes of a warp call it.
__device__ inline ExpertSlice FindExpertSlice(const StreamingArgs& args, int tile_tokens,
                                              int tile) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int before = 0;
  for (int first = 0; first < args.experts; first += 32) {
    ExpertRows rows = {0, 0};
    if (first + lane < args.experts) rows = args.operands.expert_rows[first + lane];
    const int tiles = (rows.count + tile_tokens - 1) / tile_tokens;
    int sum = tiles;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int other = __shfl_up_sync(0xffffffffu, sum, distance);
      if (lane >= distance) sum += other;
    }
    const int within = tile - (before + sum - tiles);  // of this lane's expert
    const uint32_t owner = __ballot_sync(0xffffffffu, within >= 0 && within < tiles);
    if (owner != 0) {
      const int from = __ffs(static_cast<int>(owner)) - 1;
      return {first + from, __shfl_sync(0xffffffffu, rows.first + within * tile_tokens, from),
              __shfl_sync(0xffffffffu, rows.first + rows.count, from)};
    }
    before += __shfl_sync(0xffffffffu, sum, 31);
  }
  return {0, 0, 0};
}

/// What one CTA computes. Slots are counted within the CTA: local slot i is slot i·C + rank of the
/// whole K, where the 4-bit (or dense) slots come first, then those of 8-bit steps.
template <StreamShape kShape>
struct StreamTile {
  int first_row_block;
  int first_token;
  int tokens;  ///< that a slot has room for, a multiple of 8
  int slots4;  ///< of all K
  int slots;   ///< of all K
  int local_slots4;
  int local_slots;
  int rank;                       ///< in the cluster: this CTA's part of K
  ExpertSlice slice = {0, 0, 0};  ///< grouped products only

  /// `tile` counts the clusters of the launch.
  __device__ StreamTile(const StreamingArgs& args, const StreamGrid& grid, int tile,
                        int cluster_rank)
      : rank(cluster_rank) {
    // Groups of token tiles go through all rows together, so that what runs at one time shares its
    // weights and its x in L2.
    int row_tile = tile;
    int token_tile = 0;
    if constexpr (kShape.experts) {
      ptx::WaitForPredecessors();
      slice = FindExpertSlice(args, kShape.tile_tokens(), tile / grid.row_tiles);
      row_tile = tile % grid.row_tiles;
    } else if (grid.token_tiles > 1) {
      const int group = tile / (grid.row_tiles * kTokenGroup);
      const int width = min(kTokenGroup, grid.token_tiles - group * kTokenGroup);
      const int within = tile - group * grid.row_tiles * kTokenGroup;
      row_tile = within / width;
      token_tile = group * kTokenGroup + within - row_tile * width;
    }
    first_row_block = row_tile * kShape.row_blocks;
    first_token = kShape.experts ? slice.first_token : token_tile * kShape.tile_tokens();
    const int padded = (args.m + 7) / 8 * 8;
    tokens = min(padded, kShape.tile_tokens());
    slots4 = (args.blocks4 + kShape.units - 1) / kShape.units;
    slots = slots4 + (args.steps8 + kShape.steps8() - 1) / kShape.steps8();
    local_slots4 = (slots4 - rank + kShape.cluster - 1) / kShape.cluster;
    local_slots = (slots - rank + kShape.cluster - 1) / kShape.cluster;
  }
  __device__ int Slot(int local) const { return local * kShape.cluster + rank; }
  /// Behind the last token of the product.
  __device__ int EndToken(const StreamingArgs& args) const {
    return kShape.experts ? slice.end_token : args.m;
  }
  __device__ bool Empty() const { return kShape.experts && slice.end_token == slice.first_token; }

  static constexpr int kTokenGroup = 8;
};

/// Weight w of the launch, or of the tile's expert.
template <StreamShape kShape>
__device__ __forceinline__ GemmWeight WeightAt(const StreamingArgs& args,
                                               const StreamTile<kShape>& tile, int w) {
  if constexpr (kShape.experts) {
    return args.operands.expert_weights[tile.slice.expert * args.weight_count + w];
  } else {
    return args.operands.weights[w];
  }
}

/// The row of y of a token.
template <StreamShape kShape>
__device__ __forceinline__ int64_t RowOfY(const StreamingArgs& args, int token) {
  if constexpr (kShape.experts) return args.operands.y_rows[token];
  return token;
}

/// Number of the weight that row block `row_block` of the launch belongs to.
__device__ __forceinline__ int WeightOf(const StreamingArgs& args, int row_block) {
  int w = 0;
  while (w + 1 < args.weight_count && row_block >= args.weights[w + 1].first_row_block) ++w;
  return w;
}

}  // namespace atom::kernels::cuda
