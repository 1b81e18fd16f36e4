// Which part of the product a CTA computes.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_args.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_shape.h"

namespace atom::kernels::cuda {

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
  int rank;  ///< in the cluster: this CTA's part of K

  /// `tile` counts the clusters of the launch.
  __device__ StreamTile(const StreamingArgs& args, const StreamGrid& grid, int tile,
                        int cluster_rank)
      : rank(cluster_rank) {
    // Groups of token tiles go through all rows together, so that what runs at one time shares its
    // weights and its x in L2.
    int row_tile = tile;
    int token_tile = 0;
    if (grid.token_tiles > 1) {
      const int group = tile / (grid.row_tiles * kTokenGroup);
      const int width = min(kTokenGroup, grid.token_tiles - group * kTokenGroup);
      const int within = tile - group * grid.row_tiles * kTokenGroup;
      row_tile = within / width;
      token_tile = group * kTokenGroup + within - row_tile * width;
    }
    first_row_block = row_tile * kShape.row_blocks;
    first_token = token_tile * kShape.tile_tokens();
    const int padded = (args.m + 7) / 8 * 8;
    tokens = min(padded, kShape.tile_tokens());
    slots4 = (args.blocks4 + kShape.units - 1) / kShape.units;
    slots = slots4 + (args.steps8 + kShape.steps8() - 1) / kShape.steps8();
    local_slots4 = (slots4 - rank + kShape.cluster - 1) / kShape.cluster;
    local_slots = (slots - rank + kShape.cluster - 1) / kShape.cluster;
  }
  __device__ int Slot(int local) const { return local * kShape.cluster + rank; }

  static constexpr int kTokenGroup = 8;
};

/// Number of the weight that row block `row_block` of the launch belongs to.
__device__ __forceinline__ int WeightOf(const StreamingArgs& args, int row_block) {
  int w = 0;
  while (w + 1 < args.weight_count && row_block >= args.weights[w + 1].first_row_block) ++w;
  return w;
}

}  // namespace atom::kernels::cuda
