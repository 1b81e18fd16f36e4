// The loading warp of a tiled GEMM kernel: one thread that keeps the ring of stages full. A stage
// is one K block: the weights of this CTA's outputs, and activations, of which each CTA of a
// cluster loads its share into the shared memory of all. Outlier blocks follow as stages without
// weights; scales and outlier weights come once a tile, behind the first stages, whose room is free
// earlier.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_context.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"

namespace atom::kernels::cuda {

template <class Config>
class TileProducer {
 public:
  __device__ TileProducer(const TileParams& params, const TileBuffers& buffers, uint32_t rank)
      : params_(params), buffers_(buffers), rank_(rank) {}

  __device__ void Load(const Tile& tile) {
    const int blocks = params_.blocks + params_.outlier_blocks;
    const int tile_data_behind = blocks < buffers_.stages ? blocks : buffers_.stages;
    for (int block = 0; block < blocks; ++block) {
      ptx::MbarrierWait(buffers_.Empty(cursor_.stage), cursor_.parity ^ 1);
      LoadStage(tile, block);
      cursor_.Next(buffers_.stages);
      if (block + 1 == tile_data_behind) LoadTileData(tile);
    }
  }

  /// Waits until every stage has been used by every CTA: only then may this CTA leave, since no
  /// other arrives on its barriers any more.
  __device__ void Drain() {
    for (int i = 0; i < buffers_.stages; ++i) {
      ptx::MbarrierWait(buffers_.Empty(cursor_.stage), cursor_.parity ^ 1);
      cursor_.Next(buffers_.stages);
    }
  }

 private:
  __device__ void LoadStage(const Tile& tile, int block) {
    const uint32_t full = buffers_.Full(cursor_.stage);
    const bool main = block < params_.blocks;
    const int weight_bytes = main ? WeightBytes(block) : 0;
    const int group_bytes = Config::kGroup && main ? tile.atoms * 32 : 0;
    ptx::MbarrierArriveExpect(full, tile.row_blocks * weight_bytes +
                                        tile.atoms * static_cast<int>(kAtomBytes) + group_bytes);
    if (main) {
      const uint8_t* codes = params_.segments[tile.segment].codes +
                             tile.row_block * params_.row_block_bytes +
                             static_cast<int64_t>(block) * Config::kBlockBytes;
      const uint32_t to = buffers_.W(cursor_.stage);
      for (int i = 0; i < tile.row_blocks; ++i) {
        ptx::BulkLoad(to + i * Config::kBlockBytes, codes + i * params_.row_block_bytes,
                      weight_bytes, full);
      }
    }
    if (Config::kGroup && main) {
      ptx::BulkLoad(buffers_.Groups(cursor_.stage),
                    params_.group_scales +
                        static_cast<int64_t>(block / params_.group_blocks) * params_.group_stride +
                        tile.first_token,
                    group_bytes, full);
    }
    LoadActivations(tile, block, full);
  }

  // A K block's activations: this CTA's share, to all CTAs of the cluster.
  __device__ void LoadActivations(const Tile& tile, int block, uint32_t full) {
    constexpr int kShare = Config::kTokens / 8 / Config::kCluster;
    const int first = static_cast<int>(rank_) * kShare;
    int atoms = tile.atoms - first;
    if (atoms <= 0) return;
    if (atoms > kShare) atoms = kShare;
    const int8_t* from = params_.x + (static_cast<int64_t>(block) * params_.token_atoms +
                                      tile.first_token / 8 + first) *
                                         kAtomBytes;
    const uint32_t to = buffers_.X(cursor_.stage) + first * static_cast<int>(kAtomBytes);
    const uint32_t bytes = atoms * static_cast<int>(kAtomBytes);
    if constexpr (Config::kCluster == 1) {
      ptx::BulkLoad(to, from, bytes, full);
    } else {
      ptx::BulkLoadMulticast(to, from, bytes, full, (1 << Config::kCluster) - 1);
    }
  }

  __device__ void LoadTileData(const Tile& tile) {
    ptx::MbarrierWait(buffers_.TileEmpty(), tile_parity_ ^ 1);
    tile_parity_ ^= 1;
    const uint32_t full = buffers_.TileFull();
    const int token_bytes = tile.atoms * 8 * static_cast<int>(sizeof(TokenScales));
    const int row_bytes = tile.row_blocks * 64 * static_cast<int>(sizeof(RowScales));
    const int outlier_bytes = Config::kInt8 ? 0 : params_.steps8 * static_cast<int>(kStep8Bytes);
    ptx::MbarrierArriveExpect(full, token_bytes + row_bytes + tile.row_blocks * outlier_bytes);
    const TileSegment& segment = params_.segments[tile.segment];
    ptx::BulkLoad(buffers_.Tokens(), params_.tokens + tile.first_token, token_bytes, full);
    if (row_bytes != 0) {
      ptx::BulkLoad(buffers_.Rows(), segment.rows + tile.row_block * 64, row_bytes, full);
    }
    if (outlier_bytes == 0) return;
    const int outlier_slot = params_.outlier_blocks * 4 * static_cast<int>(kStep8Bytes);
    const uint8_t* codes = segment.codes + tile.row_block * params_.row_block_bytes +
                           static_cast<int64_t>(params_.blocks) * Config::kBlockBytes;
    for (int i = 0; i < tile.row_blocks; ++i) {
      ptx::BulkLoad(buffers_.Outliers() + i * outlier_slot, codes + i * params_.row_block_bytes,
                    outlier_bytes, full);
    }
  }

  // The last K block of 8-bit weights may end early.
  __device__ int WeightBytes(int block) const {
    if constexpr (!Config::kInt8) return Config::kBlockBytes;
    const int steps = params_.steps8 - 4 * block;
    return (steps < 4 ? steps : 4) * static_cast<int>(kStep8Bytes);
  }

  const TileParams& params_;
  const TileBuffers& buffers_;
  uint32_t rank_;
  StageCursor cursor_;
  uint32_t tile_parity_ = 0;
};

}  // namespace atom::kernels::cuda
