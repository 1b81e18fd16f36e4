// The consumers of products of two 16-bit operands.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_products.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_store.cuh"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// Both operands in 16 bit, both from shared memory: one chain over K.
template <StreamShape kShape>
__device__ __forceinline__ void ConsumeDense(const StreamingArgs& args,
                                             const StreamTile<kShape>& tile,
                                             const StreamLayout& shared, char* memory,
                                             uint32_t base, const StreamPlace<kShape>& place) {
  static_assert(kShape.units <= 2);
  StreamReader<kShape> reader(shared, base, 0);
  StreamReader<kShape> behind(shared, base, 0);
  const uint32_t x_of_slice = place.slice * (kShape.tokens / 8) * 1024;
  const uint32_t part = shared.weights + place.row_block * kShape.part_bytes();
  float sum[kShape.values()];
#pragma unroll
  for (int i = 0; i < kShape.values(); ++i) sum[i] = 0.0f;
  const auto issue = [&](uint32_t slot, int u) {
    const uint64_t a = ptx::Swizzle128Descriptor(slot + part + u * kShape.block_bytes());
    const uint64_t b = ptx::Swizzle128Descriptor(slot + x_of_slice + u * tile.tokens * 128);
#pragma unroll
    for (int s = 0; s < 4; ++s) StreamMma<kShape>::Dense::Issue(sum, a + 2 * s, b + 2 * s, true);
  };
  const int whole_slots = args.blocks4 / kShape.units;
  for (int i = 0; i < whole_slots; ++i) {
    const uint32_t slot = reader.Wait();
    ptx::WgmmaFence();
#pragma unroll
    for (int u = 0; u < kShape.units; ++u) issue(slot, u);
    ptx::WgmmaCommit();
    // One slot's products stay in flight; the slot before has been read.
    ptx::WgmmaWait<1>();
    if (i > 0) {
      behind.Release();
      behind.Advance();
    }
    reader.Advance();
  }
  if (whole_slots < tile.slots4) {  // one K block of two
    ptx::WgmmaWait<0>();
    const uint32_t slot = reader.Wait();
    ptx::WgmmaFence();
    issue(slot, 0);
    ptx::WgmmaCommit();
  }
  ptx::WgmmaWait<0>();
  const SideTables<kShape> side(args, memory);
  ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
  ptx::WaitForPredecessors();
  StoreSums(args, tile, side, place, sum);
}

}  // namespace atom::kernels::cuda
