// What the parts of a multiplying warpgroup's work share: its place in the CTA and in the ring of
// stages.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_context.cuh"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda {

template <class Config>
struct TileWarpgroup {
  const TileParams& params;
  const TileBuffers& buffers;
  int index;   ///< which 64 outputs of the tile
  int thread;  ///< 0 … 127
  StageCursor cursor;

  __device__ __forceinline__ uint32_t Weights(int stage) const {
    return buffers.W(stage) + index * Config::kBlockBytes;
  }
  __device__ __forceinline__ void NextStage() { cursor.Next(buffers.stages); }
  __device__ __forceinline__ void WaitFull() const {
    ptx::MbarrierWait(buffers.Full(cursor.stage), cursor.parity);
  }

  /// This warpgroup is done with a stage: tells the producers of all CTAs that write into it. After
  /// a wgmma has completed, every warp has read what its operands were made of, so that one thread
  /// speaks for the warpgroup; group scales are read later, and each warp speaks for itself.
  __device__ __forceinline__ void Release(int stage) {
    if constexpr (Config::kGroup) __syncwarp();
    const int speaker = Config::kGroup ? thread % 32 : thread;
    if (speaker >= Config::kCluster) return;
    const uint32_t empty = buffers.Empty(stage);
    if constexpr (Config::kCluster == 1) {
      ptx::MbarrierArrive(empty);
    } else {
      ptx::MbarrierArriveRemote(ptx::MapToRank(empty, speaker));
    }
  }
};

/// The weights of a step that does not exist are 0: what lies in their place may be anything.
__device__ __forceinline__ void ClearUnless(bool exists, uint32_t (&a)[4]) {
#pragma unroll
  for (uint32_t& word : a) word = exists ? word : 0;
}

/// All operands are in registers before the first product is issued: ptxas would move an unpacking
/// between products, and then let each wait for the one before.
__device__ __forceinline__ void PinOperand(uint32_t (&a)[4][4]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) ptx::KeepRegister(a[i / 4][i % 4]);
}

}  // namespace atom::kernels::cuda
