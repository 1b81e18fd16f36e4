// Which expert's tile comes next: a table in shared memory, made when a grouped kernel starts,
// since only the device knows how many rows an expert has.
//
//   [E] ExpertRows | [E + 1] token tiles of the experts before
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/fragments.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_params.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

__device__ __forceinline__ uint32_t FirstTileAddress(const TileParams& params, uint32_t table,
                                                     int expert) {
  return table + 8 * params.experts + 4 * expert;
}

/// All threads of the CTA; the predecessors' writes are waited for.
template <int kTokens>
__device__ __forceinline__ void MakeExpertTable(const TileParams& params, uint32_t table) {
  ptx::WaitForPredecessors();
  if (threadIdx.x < 32) {
    const int lane = static_cast<int>(threadIdx.x);
    int before = 0;
    for (int first = 0; first < params.experts; first += 32) {
      const int expert = first + lane;
      const ExpertRows rows =
          expert < params.experts ? params.expert_rows[expert] : ExpertRows{0, 0};
      int sum = (rows.count + kTokens - 1) / kTokens;
#pragma unroll
      for (int distance = 1; distance < 32; distance *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, sum, distance);
        if (lane >= distance) sum += other;
      }
      if (expert < params.experts) {
        StoreShared4(table + 8 * expert, static_cast<uint32_t>(rows.first));
        StoreShared4(table + 8 * expert + 4, static_cast<uint32_t>(rows.count));
        StoreShared4(FirstTileAddress(params, table, expert + 1),
                     static_cast<uint32_t>(before + sum));
      }
      before += __shfl_sync(0xffffffffu, sum, 31);
    }
    if (lane == 0) StoreShared4(FirstTileAddress(params, table, 0), 0);
  }
  __syncthreads();
}

__device__ __forceinline__ int AllExpertTiles(const TileParams& params, uint32_t table) {
  return static_cast<int>(LoadShared4(FirstTileAddress(params, table, params.experts)));
}

struct ExpertTile {
  int expert;
  ExpertRows rows;
  int token_tile;  ///< of the expert
  int row_cluster;
};

/// Units go through the experts; an expert's token tiles of the same outputs follow each other, so
/// that its weights are in L2.
__device__ __forceinline__ ExpertTile ExpertTileAt(const TileParams& params, uint32_t table,
                                                   int unit) {
  const int tile = unit / params.row_units;
  int low = 0, high = params.experts - 1;  // the last expert whose first tile is not behind
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (static_cast<int>(LoadShared4(FirstTileAddress(params, table, middle))) <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  const int first = static_cast<int>(LoadShared4(FirstTileAddress(params, table, low)));
  const int tiles = static_cast<int>(LoadShared4(FirstTileAddress(params, table, low + 1))) - first;
  const int within = unit - first * params.row_units;
  const ExpertRows rows = {static_cast<int32_t>(LoadShared4(table + 8 * low)),
                           static_cast<int32_t>(LoadShared4(table + 8 * low + 4))};
  return {low, rows, within % tiles, within / tiles};
}

}  // namespace atom::kernels::cuda
