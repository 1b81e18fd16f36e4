// The shape of a streaming GEMM kernel: what a CTA computes, and where everything lies in its
// shared memory. Plain constexpr data, for the plan on the host and for the kernels alike.
//
// A CTA computes 64·R outputs (rows of the weight) for N·T tokens. Its consumer warpgroups stand in
// a grid:
//
//   R row blocks × T token slices × W ways of K
//
// A producer warpgroup streams K through a ring of slots; slot i belongs to way i % W:
//
//   shared memory | barriers | row scales | token scales | handover | ring of slots …       |
//   slot          | x: U K blocks × token atoms of 1,024 B | group scales of x | weights × R |
//
// where the weights of a row block are U 4-bit (or dense) blocks or as many 8-bit steps as fit.
// Partial sums of ways and of the cluster take the ring's place when it is empty.
#pragma once

#include <algorithm>
#include <cstdint>

#include "atom/kernels/cuda/gemm/gemm_desc.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"

namespace atom::kernels::cuda {

struct StreamShape {
  GemmRecipe recipe;
  int row_blocks;   ///< R
  int slices;       ///< T
  int ways;         ///< W
  int tokens;       ///< N, of one warpgroup: the n of its wgmma
  int units;        ///< U
  int cluster;      ///< CTAs that split K and add through distributed shared memory
  int ctas_per_sm;  ///< that are to fit: one finishes while the next has begun to load
  int group = static_cast<int>(kBlockColumns);  ///< columns that share an fp16 scale: 128 or 64
  bool experts = false;                         ///< grouped products, and only these

  constexpr int warpgroups() const { return row_blocks * slices * ways; }
  constexpr int consumers() const { return 128 * warpgroups(); }
  /// Registers that consumers take from a producer of a whole warpgroup; 0: all have the same.
  constexpr int consumer_registers() const {
    if (promotes_behind() && warpgroups() == 3) return 152;
    if (tokens >= 128 && warpgroups() == 3) return 160;
    const bool many_sums = tokens == 64 || groups() == 2;
    return recipe == GemmRecipe::kW4A16 && many_sums && warpgroups() == 4 ? 112 : 0;
  }
  constexpr int producer_registers() const { return consumer_registers() == 152 ? 56 : 32; }
  constexpr int threads() const { return consumers() + 128; }
  constexpr int rows() const { return row_blocks * static_cast<int>(kBlockRows); }
  constexpr int values() const { return tokens / 2; }  ///< sums that a thread holds
  constexpr int tile_tokens() const { return slices * tokens; }

  constexpr bool integer_sums() const {
    return recipe == GemmRecipe::kInteger || recipe == GemmRecipe::kInt8;
  }
  constexpr bool group_sums() const {
    return recipe == GemmRecipe::kGroup || recipe == GemmRecipe::kW4A16;
  }
  constexpr bool x_is_16_bit() const {
    return recipe == GemmRecipe::kW4A16 || recipe == GemmRecipe::kDense;
  }
  constexpr bool x_has_group_scales() const { return recipe == GemmRecipe::kGroup; }

  /// Chunks of A registers in flight in weight-only products: as many as there are in a slot, or
  /// one.
  constexpr int chunks() const {
    return tokens <= 64 && (units == 1 || (ways == 1 && tokens == 64)) ? 2 : 1;
  }

  /// Sums of a group are promoted while the next group's products run: where K is not split, and
  /// registers hold two sets of sums.
  constexpr bool promotes_behind() const {
    return recipe == GemmRecipe::kGroup && ways == 1 && !experts && warpgroups() < 4;
  }

  /// Groups of a K block.
  constexpr int groups() const { return static_cast<int>(kBlockColumns) / group; }
  /// One K block of a row block, in bytes.
  constexpr int block_bytes() const {
    return static_cast<int>(
        recipe == GemmRecipe::kDense ? kDenseBlockBytes : kBlockCodeBytes + groups() * kScaleBytes);
  }
  constexpr int part_bytes() const { return units * block_bytes(); }
  /// 8-bit steps of a slot, at most: those of one K block of x.
  constexpr int steps8() const { return units > 1 ? 4 : 2; }
  /// Atoms of 128 bytes a token that one K block of x takes.
  constexpr int x_atoms() const { return recipe == GemmRecipe::kW4A16 ? 2 : 1; }
  /// Between the partial sums of two tokens, in words: padded so that the four tokens which a
  /// quarter warp writes at once fall into different banks.
  constexpr int partial_stride() const { return rows() + 4; }
  constexpr int partial_bytes() const {
    return integer_sums() && ways * cluster > 1 ? 2 * ways * tile_tokens() * partial_stride() * 4
                                                : 0;
  }

  // Offsets in front of the ring.
  static constexpr int kMaxSlots = 32;
  static constexpr int kFullBarriers = 0;
  static constexpr int kEmptyBarriers = 8 * kMaxSlots;
  static constexpr int kSideBarrier = 16 * kMaxSlots;
  static constexpr int kRowScales = kSideBarrier + 128;
  constexpr int token_scales() const {
    return kRowScales + static_cast<int>(sizeof(RowScales)) * rows();
  }
  constexpr int plain_scales() const {  ///< TokenScales::scale alone, where it is every group's
    return token_scales() + static_cast<int>(sizeof(TokenScales)) * tile_tokens();
  }
  constexpr int handover() const {
    return plain_scales() + (x_has_group_scales() ? 4 * tile_tokens() : 0);
  }
  constexpr int handover_bytes() const {  ///< running sums and those of outliers, each warpgroup
    return group_sums() && ways > 1 ? 2 * warpgroups() * 64 * tokens * 4 : 0;
  }
  constexpr int ring() const { return (handover() + handover_bytes() + 1023) / 1024 * 1024; }
};

/// Tiles of a launch.
struct StreamGrid {
  int32_t row_tiles = 0;
  int32_t token_tiles = 0;
};

/// A launch's shared memory, in bytes behind a 1,024-byte boundary.
struct StreamLayout {
  int32_t x_scales = 0;  ///< in a slot
  int32_t weights = 0;   ///< in a slot
  int32_t slot_bytes = 0;
  int32_t slots = 0;
  int32_t total = 0;
};

/// As many slots as `budget` bytes hold, not many more than `max_slots`, a multiple of the ways; 0
/// slots if they do not fit.
constexpr StreamLayout LayOutStream(const StreamShape& shape, int64_t m, int64_t budget,
                                    int64_t max_slots) {
  StreamLayout layout;
  const int tokens = static_cast<int>(
      std::min<int64_t>((m + kAtomTokens - 1) / kAtomTokens * kAtomTokens, shape.tile_tokens()));
  layout.x_scales = shape.units * shape.x_atoms() * tokens * 128;
  layout.weights = layout.x_scales +
                   (shape.x_has_group_scales() ? (shape.units * tokens * 4 + 127) / 128 * 128 : 0);
  layout.slot_bytes = (layout.weights + shape.row_blocks * shape.part_bytes() + 1023) / 1024 * 1024;
  // A wgmma reads all its tokens; behind the tokens that exist it reads what comes next.
  const int overhang = (shape.tile_tokens() - tokens) * 128;
  const int fixed = shape.ring() + overhang + 1024;
  // A slot always belongs to the same way: who waits for a slot's next lap knows, having consumed
  // the last one, that the barrier has passed it. (A parity tells only odd laps from even ones.)
  const int64_t fit = std::min<int64_t>((budget - fixed) / layout.slot_bytes, shape.kMaxSlots);
  const int64_t wanted = std::min(fit, std::max<int64_t>(max_slots, 2) + shape.ways - 1);
  layout.slots = static_cast<int32_t>(wanted / shape.ways * shape.ways);
  // Two producers of each kind take turns where the number is even: worth a slot of many.
  if (shape.units > 1 && shape.ways == 1 && layout.slots >= 8) layout.slots -= layout.slots % 2;
  if (layout.slots < 2) layout.slots = 0;
  layout.total = fixed + std::max(layout.slots * layout.slot_bytes, shape.partial_bytes());
  if (layout.total > budget) layout.slots = 0;
  return layout;
}

}  // namespace atom::kernels::cuda
