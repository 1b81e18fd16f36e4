// The consumers of recipes with integer sums.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_products.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_store.cuh"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// Recipes whose sums are int32 over all of K: any split is exact.
template <StreamShape kShape>
__device__ __forceinline__ void ConsumeIntegers(const StreamingArgs& args,
                                                const StreamTile<kShape>& tile,
                                                const StreamLayout& shared, char* memory,
                                                uint32_t base, const StreamPlace<kShape>& place) {
  StreamReader<kShape> reader(shared, base, place.way);
  const uint32_t x_of_slice = place.slice * (kShape.tokens / 8) * 1024;
  const uint32_t part = shared.weights + place.row_block * kShape.part_bytes();
  int32_t low[kShape.values()];
  if constexpr (kShape.recipe == GemmRecipe::kInteger) {
#pragma unroll
    for (int v = 0; v < kShape.values(); ++v) low[v] = 0;
  }

  int i = place.way;
  if constexpr (kShape.recipe == GemmRecipe::kInteger) {
    for (; i < tile.local_slots4; i += kShape.ways) {
      const uint32_t slot = reader.Wait();
      const int units = args.blocks4 - tile.Slot(i) * kShape.units;
      Chunk a[kShape.units];
#pragma unroll
      for (int u = 0; u < kShape.units; ++u) {
        if (u < units) {
          IssueBlock4<kShape>(slot + part + u * kShape.block_bytes(),
                              slot + x_of_slice + u * tile.tokens * 128, place.thread, a[u], low,
                              true);
        }
      }
      ptx::WgmmaWait<0>();
      reader.Release();
      reader.Advance();
    }
  }
  int32_t outlier[kShape.values()];  // lives from here on: registers are short above
#pragma unroll
  for (int v = 0; v < kShape.values(); ++v) outlier[v] = 0;
  for (; i < tile.local_slots; i += kShape.ways) {
    const uint32_t slot = reader.Wait();
    const int step = (tile.Slot(i) - tile.slots4) * kShape.steps8();
    constexpr int kAtOnce = kShape.recipe == GemmRecipe::kInt8 ? kShape.steps8() : 1;
    MultiplySteps8<kShape, kAtOnce>(slot + part, args.steps8 - step,
                                    slot + x_of_slice + step % 4 * 32, place.thread, outlier);
    reader.Release();
    reader.Advance();
  }

  const SideTables<kShape> side(args, memory);
  ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
  if constexpr (kShape.ways * kShape.cluster == 1) {
    ptx::WaitForPredecessors();
    const int row = place.first_row();
    const RowScales rows[2] = {side.rows[row], side.rows[row + 8]};
    StoreValues(args, tile, row, place.first_token(), [&](int v, int r, int token) {
      int32_t sum = 0;
      if constexpr (kShape.recipe == GemmRecipe::kInteger) sum = low[v];
      return side.Dequantize(rows[r], side.tokens[token], sum, outlier[v]);
    });
  } else {
    ptx::BarrierSync(1, kShape.consumers());  // the partial sums take the ring's place
    int32_t* partials = reinterpret_cast<int32_t*>(memory + kShape.ring());
    constexpr int kKind = kShape.ways * kShape.tile_tokens() * kShape.partial_stride();
    const int first =
        (place.way * kShape.tile_tokens() + place.first_token()) * kShape.partial_stride() +
        place.first_row();
#pragma unroll
    for (int v = 0; v < kShape.values(); ++v) {
      const int at = first + (8 * (v / 4) + v % 2) * kShape.partial_stride() + 8 * (v % 4 / 2);
      if constexpr (kShape.recipe == GemmRecipe::kInteger) partials[at] = low[v];
      if (args.steps8 > 0) partials[kKind + at] = outlier[v];
    }
    ptx::WaitForPredecessors();
    ptx::BarrierSync(1, kShape.consumers());
    StorePartials<kShape>(args, tile, side, base + kShape.ring());
  }
}

}  // namespace atom::kernels::cuda
