// The loading warps of a tiled GEMM kernel, one thread each, that keep the ring of stages full. A
// stage is one K block; outlier blocks follow the others as stages without weights.
//
//   warp 0   activations: each CTA of a cluster loads its share into the shared memory of all
//   warp 1   weights of this CTA's outputs (the other way round in clusters along the tokens); it
//            need not wait for the kernel before this one
//   warp 2   once a tile: scales and outlier weights
//
// A single thread could not issue all of it in the time in which a small tile is multiplied.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_context.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// Arrivals that fill a stage: the announcements of warp 0 and warp 1.
inline constexpr int kStageLoaders = 2;

template <class Config>
class ActivationLoader {
 public:
  __device__ ActivationLoader(const TileParams& params, const TileBuffers& buffers, int rank)
      : params_(params), buffers_(buffers), first_(rank * kShare) {}

  __device__ void Load(const Tile& tile, const TileJob& job) {
    const bool alone = Config::kCluster == 1 || AlongTokens<Config>(params_);
    const int first = alone ? 0 : first_;
    const int left = tile.atoms - first;
    const int most = alone ? Config::kTokens / 8 : kShare;
    const int share = left < 0 ? 0 : left < most ? left : most;
    const uint32_t bytes = share * static_cast<int>(kAtomBytes);
    const int64_t step = static_cast<int64_t>(params_.token_atoms) * kAtomBytes;
    const int8_t* from = params_.x + job.begin * step +
                         static_cast<int64_t>(tile.first_token / 8 + first) * kAtomBytes;
    const int end = job.end + params_.outlier_blocks;
#pragma unroll 1
    for (int block = job.begin; block < end; ++block) {
      const uint32_t full = buffers_.Full(cursor_.stage);
      const int group_bytes = Config::kGroup && block < params_.blocks ? tile.atoms * 32 : 0;
      ptx::MbarrierWait(buffers_.Empty(cursor_.stage), cursor_.parity ^ 1);
      ptx::MbarrierArriveExpect(full, tile.atoms * static_cast<int>(kAtomBytes) + group_bytes);
      if (share > 0) {
        const uint32_t to = buffers_.X(cursor_.stage) + first * static_cast<int>(kAtomBytes);
        if (alone) {
          ptx::BulkLoad(to, from, bytes, full);
        } else {
          ptx::BulkLoadMulticast(to, from, bytes, full, (1 << Config::kCluster) - 1);
        }
      }
      if (Config::kGroup && group_bytes > 0) {
        const int group = Config::kWideGroups ? block / params_.group_blocks : block;
        ptx::BulkLoad(buffers_.Groups(cursor_.stage),
                      params_.group_scales + static_cast<int64_t>(group) * params_.group_stride +
                          tile.first_token,
                      group_bytes, full);
      }
      from += step;
      cursor_.Next(buffers_.stages);
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
  static constexpr int kShare = Config::kTokens / 8 / Config::kCluster;  ///< atoms of this CTA

  const TileParams& params_;
  const TileBuffers& buffers_;
  int first_;
  StageCursor cursor_;
};

template <class Config>
class WeightLoader {
 public:
  __device__ WeightLoader(const TileParams& params, const TileBuffers& buffers, int rank)
      : params_(params), buffers_(buffers), rank_(rank) {}

  __device__ void Load(const Tile& tile, const TileJob& job) {
    const uint8_t* from = WeightOf<Config>(params_, tile).codes +
                          static_cast<int64_t>(job.begin) * Config::kBlockBytes;
    const bool shared = AlongTokens<Config>(params_);
#pragma unroll 1
    for (int block = job.begin; block < job.end; ++block) {
      const uint32_t full = buffers_.Full(cursor_.stage);
      const uint32_t to = buffers_.W(cursor_.stage);
      const int bytes = BlockBytes(block);
      ptx::MbarrierWait(buffers_.Empty(cursor_.stage), cursor_.parity ^ 1);
      ptx::MbarrierArriveExpect(full, tile.row_blocks * bytes);
#pragma unroll
      for (int i = 0; i < Config::kWarpgroups; ++i) {
        if (i >= tile.row_blocks) continue;
        const uint8_t* row_block = from + i * params_.row_block_bytes;
        if (!shared) {
          ptx::BulkLoad(to + i * Config::kBlockBytes, row_block, bytes, full);
        } else if (i % Config::kCluster == rank_) {
          ptx::BulkLoadMulticast(to + i * Config::kBlockBytes, row_block, bytes, full,
                                 (1 << Config::kCluster) - 1);
        }
      }
      from += Config::kBlockBytes;
      cursor_.Next(buffers_.stages);
    }
    for (int block = 0; block < params_.outlier_blocks; ++block) {
      ptx::MbarrierWait(buffers_.Empty(cursor_.stage), cursor_.parity ^ 1);
      ptx::MbarrierArrive(buffers_.Full(cursor_.stage));
      cursor_.Next(buffers_.stages);
    }
  }

 private:
  // The last K block of 8-bit weights may end early.
  __device__ __forceinline__ int BlockBytes(int block) const {
    if constexpr (!Config::kInt8) return Config::kBlockBytes;
    const int steps = params_.steps8 - 4 * block;
    return (steps < 4 ? steps : 4) * static_cast<int>(kStep8Bytes);
  }

  const TileParams& params_;
  const TileBuffers& buffers_;
  int rank_;
  StageCursor cursor_;
};

template <class Config>
class TileDataLoader {
 public:
  __device__ TileDataLoader(const TileParams& params, const TileBuffers& buffers)
      : params_(params), buffers_(buffers) {}

  __device__ void Load(const Tile& tile) {
    ptx::MbarrierWait(buffers_.TileEmpty(), parity_ ^ 1);
    parity_ ^= 1;
    const uint32_t full = buffers_.TileFull();
    const int token_bytes =
        Config::kDense ? 0 : tile.atoms * 8 * static_cast<int>(sizeof(TokenScales));
    const int row_bytes = tile.row_blocks * 64 * static_cast<int>(sizeof(RowScales));
    const int outlier_bytes =
        Config::kInt8 || Config::kDense ? 0 : params_.steps8 * static_cast<int>(kStep8Bytes);
    ptx::MbarrierArriveExpect(full, token_bytes + row_bytes + tile.row_blocks * outlier_bytes);
    const GemmWeight weight = WeightOf<Config>(params_, tile);
    if (token_bytes != 0) {
      ptx::BulkLoad(buffers_.Tokens(), params_.tokens + tile.first_token, token_bytes, full);
    }
    if (row_bytes != 0) {
      ptx::BulkLoad(buffers_.Rows(), weight.rows, row_bytes, full);
    }
    if (outlier_bytes == 0) return;
    const int outlier_slot = params_.outlier_blocks * 4 * static_cast<int>(kStep8Bytes);
    const uint8_t* codes =
        weight.codes + static_cast<int64_t>(params_.blocks) * Config::kBlockBytes;
    for (int i = 0; i < tile.row_blocks; ++i) {
      ptx::BulkLoad(buffers_.Outliers() + i * outlier_slot, codes + i * params_.row_block_bytes,
                    outlier_bytes, full);
    }
  }

 private:
  const TileParams& params_;
  const TileBuffers& buffers_;
  uint32_t parity_ = 0;
};

}  // namespace atom::kernels::cuda
