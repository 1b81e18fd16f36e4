// Main loop of two 16-bit operands, both from shared memory: one fp32 chain over K. Where a tile is
// divided, it goes on from the sums that were handed over.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_warpgroup.cuh"

namespace atom::kernels::cuda {

/// One stage's products are always in flight; the stage before them is released meanwhile.
template <class Config>
__device__ __forceinline__ void MultiplyDense(TileWarpgroup<Config>& wg, const TileJob& job,
                                              float (&sums)[Config::kTokens / 2]) {
  using Mma = ptx::Wgmma<ptx::MmaTypes::kBF16BF16, ptx::OperandA::kShared, Config::kTokens>;
  int previous = -1;
  for (int block = job.begin; block < job.end; ++block) {
    wg.WaitFull();
    const uint64_t w = ptx::Swizzle128Descriptor(wg.Weights(wg.cursor.stage));
    const uint64_t x = ptx::Swizzle128Descriptor(wg.buffers.X(wg.cursor.stage));
    ptx::WgmmaFence();
#pragma unroll
    for (int step = 0; step < 4; ++step) Mma::Issue(sums, w + 2 * step, x + 2 * step, true);
    ptx::WgmmaCommit();
    ptx::WgmmaWait<1>();
    if (previous >= 0) wg.Release(previous);
    previous = wg.cursor.stage;
    wg.NextStage();
  }
  ptx::WgmmaWait<0>();
  wg.Release(previous);
#pragma unroll
  for (float& sum : sums) ptx::KeepRegister(sum);
}

}  // namespace atom::kernels::cuda
