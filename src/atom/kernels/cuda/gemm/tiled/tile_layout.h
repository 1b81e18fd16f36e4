// Shared memory of the tiled GEMM kernels: one function says where everything lies, for the plan
// and for the kernel alike.
//
//   | activations        | output staging         | 4-bit (or main 8-bit)  | outlier weights  |
//   | [stages][T × 128 B]| [warpgroups][2][8 KiB] | weights [stages]       | [wg][4 b][2 KiB]   |
//   | token scales [T] 16 B | row scales [R] 16 B | group scales [stages][T] fp32 | barriers    |
//
// T tokens and R = 64 · warpgroups outputs a tile. A stage is a K block: 128 columns, of dense
// products 64, which have no token scales. What wgmma and tensor stores read in their
// swizzle comes first: it is aligned to 1,024 bytes.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/gemm_desc.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"

namespace atom::kernels::cuda {

/// Tokens of an epilogue slice: what a warpgroup stages at once, and multiplies by outliers at
/// once.
inline constexpr int kSliceTokens = 64;
inline constexpr int kStagingBytes = kSliceTokens * 64 * 2;  ///< 16-bit values
inline constexpr int kStagingBuffers = 2;

struct TileLayout {
  int32_t x_stage;      ///< bytes of a stage
  int32_t w_stage;      ///< bytes of a stage
  int32_t group_stage;  ///< bytes of a stage
  int32_t staging;      ///< offsets from here on
  int32_t w;
  int32_t outliers;
  int32_t tokens;
  int32_t rows;
  int32_t groups;
  int32_t barriers;
  int32_t bytes;
};

/// Behind the layout, with experts: their rows [E] {first, count}, then the first token tile of
/// each and the number of all, [E + 1].
constexpr int64_t ExpertTableBytes(int64_t experts) { return 8 + 8 * experts + 4 * (experts + 1); }

/// A row block's weights in a stage.
constexpr int TileBlockBytes(GemmRecipe recipe) {
  switch (recipe) {
    case GemmRecipe::kInt8:
      return 4 * static_cast<int>(kStep8Bytes);
    case GemmRecipe::kDense:
      return static_cast<int>(kDenseBlockBytes);
    default:
      return static_cast<int>(kBlockCodeBytes + kScaleBytes);
  }
}

/// `outlier_blocks`: K blocks b of outliers (0 for kInt8, whose 8-bit weights go through the
/// stages).
constexpr TileLayout MakeTileLayout(GemmRecipe recipe, int warpgroups, int tile_tokens, int stages,
                                    int outlier_blocks) {
  TileLayout layout = {};
  layout.x_stage = tile_tokens * static_cast<int>(kBlockColumns);
  layout.w_stage = warpgroups * TileBlockBytes(recipe);
  layout.group_stage = recipe == GemmRecipe::kGroup ? tile_tokens * 4 : 0;
  layout.staging = stages * layout.x_stage;
  layout.w = layout.staging + warpgroups * kStagingBuffers * kStagingBytes;
  layout.outliers = layout.w + stages * layout.w_stage;
  layout.tokens = layout.outliers + outlier_blocks * 4 * warpgroups * static_cast<int>(kStep8Bytes);
  layout.rows = layout.tokens + (recipe == GemmRecipe::kDense ? 0 : tile_tokens * 16);
  layout.groups = layout.rows + warpgroups * 64 * 16;
  layout.barriers = layout.groups + stages * layout.group_stage;
  layout.bytes = layout.barriers + (2 * stages + 2) * 8;
  return layout;
}

}  // namespace atom::kernels::cuda
