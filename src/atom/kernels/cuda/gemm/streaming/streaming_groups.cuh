// The consumers of recipes with a scale a group.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_group_fours.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_handover.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_products.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_store.cuh"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// Recipes with a scale a group: sums of a group, then one fp32 chain over the groups.
template <StreamShape kShape>
__device__ __forceinline__ void ConsumeGroups(const StreamingArgs& args,
                                              const StreamTile<kShape>& tile,
                                              const StreamLayout& shared, char* memory,
                                              uint32_t base, const StreamPlace<kShape>& place) {
  using Sum = typename GroupSum<kShape>::Type;
  constexpr bool kInteger = GroupSum<kShape>::kInteger;
  StreamReader<kShape> reader(shared, base, place.way);
  const Handover<kShape> handover{base, place};
  const uint32_t x_of_slice = place.slice * (kShape.tokens / 8) * 1024;
  const uint32_t part = shared.weights + place.row_block * kShape.part_bytes();
  const int first_token = place.first_token();
  // Without group scales, x has one scale a token: put in a row as those of a group would be.
  const bool token_scales = kInteger && args.operands.group_scales == nullptr;
  if (token_scales) {
    ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
    const SideTables<kShape> side(args, memory);
    auto* plain = reinterpret_cast<float*>(memory + kShape.plain_scales());
    if (threadIdx.x < kShape.tile_tokens()) plain[threadIdx.x] = side.tokens[threadIdx.x].scale;
    ptx::BarrierSync(15, kShape.consumers());
  }
  float sum[kShape.values()];
#pragma unroll
  for (int v = 0; v < kShape.values(); ++v) sum[v] = 0.0f;

  int i = place.way;
  if constexpr (kShape.promotes_behind()) {
    GroupsInFours<kShape>{args, tile, shared, base, place, token_scales, reader, reader}.Run(sum);
    i = tile.slots4;
  } else {
    for (; i < tile.slots4; i += kShape.ways) {
      const uint32_t slot = reader.Wait();
      const int units = args.blocks4 - i * kShape.units;
      // A way may have to wait for its turn: it has the sums of all its units by then. Otherwise
      // each is promoted as soon as it is there, which saves the registers.
      constexpr bool kDeferred = kShape.ways > 1 || kShape.tokens <= 32;
      constexpr int kGroups = kShape.units * kShape.groups();
      Sum group[kDeferred ? kGroups : 1][kShape.values()];
      float2 row_scales[kGroups];
      Chunk a[2];
      const auto promote = [&](int g, float2 rows) {
        // Codes came as 16·code; the power of two goes into the scale, exactly.
        constexpr float kUnit = kInteger ? 0.0625f : 1.0f;
        const uint32_t scales = token_scales ? base + kShape.plain_scales()
                                             : slot + shared.x_scales + g * tile.tokens * 4;
        GroupSum<kShape>::template Promote<4>(sum, group[kDeferred ? g : 0], rows.x * kUnit,
                                              rows.y * kUnit, scales + first_token * 4);
      };
#pragma unroll
      for (int g = 0; g < kGroups; ++g) {
        const int u = g / kShape.groups(), of_block = g % kShape.groups();
        const uint32_t block = slot + part + u * kShape.block_bytes();
        const uint32_t x = slot + x_of_slice + u * kShape.x_atoms() * tile.tokens * 128;
        row_scales[g] = GroupScalesOf(block, of_block, place.thread);
        if (u < units) {
          Sum(&products)[kShape.values()] = group[kDeferred ? g : 0];
          if constexpr (kInteger) {
            IssueBlock4<kShape>(block, x, place.thread, a[u % 2], products, false);
          } else if constexpr (kShape.groups() == 2) {
            if (kDeferred && g >= kShape.chunks()) ptx::WgmmaWait<kShape.chunks() - 1>();
            IssueHalfBlock4In16Bit<kShape>(block + of_block * kBlockCodeBytes / 2,
                                           x + of_block * tile.tokens * 128, place.thread,
                                           a[g % kShape.chunks()], products);
          } else {
            IssueBlock4In16Bit<kShape>(block, x, tile.tokens * 128, place.thread, a, products,
                                       kDeferred && u > 0);
          }
          if constexpr (!kDeferred) {
            ptx::WgmmaWait<0>();
            promote(g, row_scales[g]);
          }
        }
      }
      if constexpr (kDeferred) {
        ptx::WgmmaWait<0>();
        if (kShape.ways > 1 && i > 0) {
          handover.Wait();
          handover.Take(sum, 0);
        }
#pragma unroll
        for (int g = 0; g < kGroups; ++g) {
          if (g / kShape.groups() < units) promote(g, row_scales[g]);
        }
      }
      if (kShape.ways > 1 && i + 1 < tile.slots) {
        handover.Give(sum, 0);
        handover.Signal();
      }
      reader.Release();
      reader.Advance();
    }
  }

  // The outliers are one group, summed slot after slot and promoted at the end.
  Sum group[kShape.values()];
#pragma unroll
  for (int v = 0; v < kShape.values(); ++v) group[v] = 0;
  const SideTables<kShape> side(args, memory);
  for (; i < tile.slots; i += kShape.ways) {
    const uint32_t slot = reader.Wait();
    const int step = (i - tile.slots4) * kShape.steps8();
    if (kShape.ways > 1) {
      handover.Wait();
      handover.Take(sum, 0);
      if (i > tile.slots4) handover.Take(group, 1);
    }
    if constexpr (kInteger) {
      MultiplySteps8<kShape, kShape.steps8()>(
          slot + part, args.steps8 - step, slot + x_of_slice + step % 4 * 32, place.thread, group);
    } else {
      MultiplySteps8In16Bit<kShape>(slot + part, args.steps8 - step, slot + x_of_slice,
                                    tile.tokens * 128, place.thread, group);
    }
    reader.Release();
    reader.Advance();
    if (kShape.ways > 1 && i + 1 < tile.slots) {
      handover.Give(sum, 0);
      handover.Give(group, 1);
      handover.Signal();
    }
  }
  if (place.way != (tile.slots - 1) % kShape.ways) return;
  ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
  if (args.steps8 > 0) {
    const int row = place.first_row();
    const uint32_t outlier_scales =
        base + kShape.token_scales() + first_token * sizeof(TokenScales) + 4;
    GroupSum<kShape>::template Promote<sizeof(TokenScales)>(
        sum, group, side.rows[row].outlier_scale, side.rows[row + 8].outlier_scale, outlier_scales);
  }
  ptx::WaitForPredecessors();
  StoreSums(args, tile, side, place, sum);
}

}  // namespace atom::kernels::cuda
