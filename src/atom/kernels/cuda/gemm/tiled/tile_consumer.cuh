// A multiplying warpgroup of a tiled GEMM kernel: 64 outputs × all tokens of the tile. The main
// loop leaves sums in registers, the epilogue turns them into rows of Y.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_dense_loop.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_epilogue.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_group_loop.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_integer_loop.cuh"

namespace atom::kernels::cuda {

/// The tile's place is worked out behind the main loop, which needs every register.
template <class Config>
__device__ __forceinline__ void MultiplyTile(int unit, int rank, TileWarpgroup<Config>& wg,
                                             TileEpilogue<Config>& epilogue) {
  if constexpr (Config::kDense) {
    float sums[Config::kTokens / 2];
    MultiplyDense(wg, sums);
    epilogue.Run(TileAt<Config>(wg.params, wg.buffers, unit, rank), sums);
  } else if constexpr (Config::kGroup) {
    float sums[Config::kTokens / 2];
    GroupLoop<Config>(wg).Run(sums);
    epilogue.Run(TileAt<Config>(wg.params, wg.buffers, unit, rank), sums);
  } else {
    int32_t sums[Config::kTokens / 2];
    IntegerLoop<Config>(wg).Run(sums);
    epilogue.Run(TileAt<Config>(wg.params, wg.buffers, unit, rank), sums);
  }
}

}  // namespace atom::kernels::cuda
