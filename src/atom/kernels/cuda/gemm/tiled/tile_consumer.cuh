// A multiplying warpgroup of a tiled GEMM kernel: 64 outputs × all tokens of the tile. The main
// loop leaves sums in registers, the epilogue turns them into rows of Y.
#pragma once

#include <cstdint>
#include <type_traits>

#include "atom/kernels/cuda/gemm/tiled/tile_dense_loop.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_epilogue.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_group_loop.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_handover.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_integer_loop.cuh"

namespace atom::kernels::cuda {

/// Sums before the first K block of a job: 0, or what was handed over; from 0 as in the streaming
/// kernels, so that all add in one order.
template <class Config, class Sum>
__device__ __forceinline__ void BeginSums(const TileJob& job, int cluster, int rank,
                                          const TileWarpgroup<Config>& wg,
                                          Sum (&sums)[Config::kTokens / 2]) {
#pragma unroll
  for (Sum& sum : sums) sum = 0;
  if constexpr (Config::kPlain) {
    if (job.begin > 0) {
      TileHandover<Config, Sum>(wg.params, cluster, rank, wg.index, wg.thread).Take(sums);
    }
  }
  // Settled before the first product, whichever way they came.
#pragma unroll
  for (Sum& sum : sums) ptx::KeepRegister(sum);
}

/// The tile's place is worked out behind the main loop, which needs every register.
template <class Config>
__device__ __forceinline__ void MultiplyTile(const TileJob& job, int cluster, int rank,
                                             TileWarpgroup<Config>& wg,
                                             TileEpilogue<Config>& epilogue) {
  using Sum = std::conditional_t<Config::kDense || Config::kGroup, float, int32_t>;
  Sum sums[Config::kTokens / 2];
  if constexpr (Config::kDense || Config::kInt8) BeginSums(job, cluster, rank, wg, sums);
  if constexpr (Config::kDense) {
    MultiplyDense(wg, job, sums);
  } else if constexpr (Config::kGroup) {
    GroupLoop<Config>(wg).Run(sums);
  } else {
    IntegerLoop<Config>(wg).Run(job, sums);
  }
  if constexpr (Config::kPlain) {
    if (job.end != wg.params.blocks) {
      TileHandover<Config, Sum>(wg.params, cluster + 1, rank, wg.index, wg.thread).Give(sums);
      return;
    }
  }
  epilogue.Run(TileAt<Config>(wg.params, wg.buffers, job.unit, rank), sums);
}

}  // namespace atom::kernels::cuda
