// What all warps of a tiled GEMM kernel agree on: where its buffers lie, which tile comes next, and
// whose turn a stage is.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_experts.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_layout.h"
#include "atom/kernels/cuda/gemm/tiled/tile_params.h"
#include "atom/kernels/cuda/ptx/cluster.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"

namespace atom::kernels::cuda {

/// A kernel's constants.
template <GemmRecipe kRecipeOf, int kWarpgroupsOf, int kTokensOf, int kClusterOf,
          bool kWideGroupsOf = false, bool kExpertsOf = false>
struct TileConfig {
  static constexpr GemmRecipe kRecipe = kRecipeOf;
  static constexpr int kWarpgroups = kWarpgroupsOf;  ///< each multiplies 64 outputs
  static constexpr int kTokens = kTokensOf;
  static constexpr int kCluster = kClusterOf;
  static constexpr bool kWideGroups = kWideGroupsOf;  ///< fp16 scales of more than 128 columns
  static constexpr bool kExperts = kExpertsOf;        ///< grouped products
  static constexpr int kRows = 64 * kWarpgroups;
  static constexpr int kThreads = (kWarpgroups + 1) * 128;
  static constexpr bool kInt8 = kRecipe == GemmRecipe::kInt8;
  static constexpr bool kDense = kRecipe == GemmRecipe::kDense;
  static constexpr bool kGroup = kRecipe == GemmRecipe::kGroup;
  /// Nothing but K blocks goes through the stages: units may be divided along K, and clusters lie
  /// along either side.
  static constexpr bool kPlain = (kInt8 || kDense) && !kExperts;
  /// Arrivals that free a stage: one a warpgroup, or one a warp (TileConsumer::Release).
  static constexpr int kReleases = kWarpgroups * (kGroup ? 4 : 1) * kCluster;
  /// Bytes of a row block's weights in a stage.
  static constexpr int kBlockBytes = TileBlockBytes(kRecipe);
};

/// Addresses in the .shared window.
struct TileBuffers {
  TileLayout layout;
  uint32_t base;
  int stages;

  __device__ uint32_t X(int stage) const { return base + stage * layout.x_stage; }
  __device__ uint32_t W(int stage) const { return base + layout.w + stage * layout.w_stage; }
  __device__ uint32_t Groups(int stage) const {
    return base + layout.groups + stage * layout.group_stage;
  }
  __device__ uint32_t Staging(int warpgroup, int buffer) const {
    return base + layout.staging + (warpgroup * kStagingBuffers + buffer) * kStagingBytes;
  }
  __device__ uint32_t Outliers() const { return base + layout.outliers; }
  __device__ uint32_t Tokens() const { return base + layout.tokens; }
  __device__ uint32_t Rows() const { return base + layout.rows; }
  /// ExpertTableBytes' tables.
  __device__ uint32_t Experts() const { return base + (layout.bytes + 7) / 8 * 8; }
  /// A stage has arrived; a stage has been used by every warpgroup of the cluster.
  __device__ uint32_t Full(int stage) const { return base + layout.barriers + stage * 8; }
  __device__ uint32_t Empty(int stage) const { return Full(stages + stage); }
  /// The same for what comes once a tile: scales and outlier weights.
  __device__ uint32_t TileFull() const { return Full(2 * stages); }
  __device__ uint32_t TileEmpty() const { return Full(2 * stages + 1); }
};

template <class Config>
__device__ __forceinline__ TileBuffers MakeBuffers(const TileParams& params, uint32_t base) {
  return {MakeTileLayout(Config::kRecipe, Config::kWarpgroups, Config::kTokens, params.stages,
                         params.outlier_blocks),
          base, params.stages};
}

/// Position in the ring of stages.
struct StageCursor {
  int stage = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void Next(int stages) {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// One CTA's tile.
struct Tile {
  int row_tile;  ///< among those of all weights
  int token_tile;
  int segment;
  int expert;
  int row_block;   ///< first, in its weight
  int row_blocks;  ///< that exist, 0 … warpgroups
  int first_token;
  int end_token;  ///< of the product
  int atoms;      ///< of 8 tokens that exist
};

/// A cluster's CTAs have the same outputs and share the loads of weights; otherwise the same
/// tokens.
template <class Config>
__device__ __forceinline__ bool AlongTokens(const TileParams& params) {
  return Config::kPlain && params.token_clusters;
}

/// Tiles in the order in which clusters take them: groups of 8 token tiles, inside a group all
/// rows, so that what runs at the same time shares weights and activations in L2.
template <class Config>
__device__ __forceinline__ Tile TileAt(const TileParams& params, const TileBuffers& buffers,
                                       int unit, int rank) {
  Tile tile;
  tile.expert = 0;
  if constexpr (Config::kExperts) {
    const ExpertTile place = ExpertTileAt(params, buffers.Experts(), unit);
    tile.expert = place.expert;
    tile.row_tile = place.row_cluster * Config::kCluster + rank;
    tile.token_tile = place.token_tile;
    tile.first_token = place.rows.first + place.token_tile * Config::kTokens;
    tile.end_token = place.rows.first + place.rows.count;
    const int atoms = (tile.end_token - tile.first_token + 7) / 8;
    tile.atoms = atoms < Config::kTokens / 8 ? atoms : Config::kTokens / 8;
  } else {
    constexpr int kRaster = 8;
    const int group_units = kRaster * params.row_units;
    const int group = unit / group_units;
    const int within = unit - group * group_units;
    const int left = params.token_units - group * kRaster;
    const int width = left < kRaster ? left : kRaster;
    tile.row_tile = within / width;
    tile.token_tile = group * kRaster + within % width;
    if (AlongTokens<Config>(params)) {
      tile.token_tile = tile.token_tile * Config::kCluster + rank;
    } else {
      tile.row_tile = tile.row_tile * Config::kCluster + rank;
    }
    tile.first_token = tile.token_tile * Config::kTokens;
    tile.end_token = params.m;
    const int atoms = params.token_atoms - tile.token_tile * (Config::kTokens / 8);
    tile.atoms = atoms < 0 ? 0 : atoms < Config::kTokens / 8 ? atoms : Config::kTokens / 8;
  }
  tile.segment = tile.row_tile >= params.segments[2].first_tile   ? 2
                 : tile.row_tile >= params.segments[1].first_tile ? 1
                                                                  : 0;
  const TileSegment& segment = params.segments[tile.segment];
  tile.row_block = (tile.row_tile - segment.first_tile) * Config::kWarpgroups;
  const int blocks = segment.row_blocks - tile.row_block;
  tile.row_blocks = blocks < 0 ? 0 : blocks > Config::kWarpgroups ? Config::kWarpgroups : blocks;
  return tile;
}

/// The tile's weight, from its first row block on.
template <class Config>
__device__ __forceinline__ GemmWeight WeightOf(const TileParams& params, const Tile& tile) {
  GemmWeight weight = {params.segments[tile.segment].codes, params.segments[tile.segment].rows};
  if constexpr (Config::kExperts) {
    weight = params.expert_weights[tile.expert * params.segment_count + tile.segment];
  }
  weight.codes += tile.row_block * params.row_block_bytes;
  weight.rows += tile.row_block * 64;
  return weight;
}

}  // namespace atom::kernels::cuda
