// A tile of 64 positions of floats as `attend` reads it: K and V of one head, widened into scratch.
#pragma once

#include "atom/kernels/cpu/kv_rows.h"

namespace atom::kernels::cpu {

/// Where a tile is widened to.
struct TileBuffers {
  float* keys;    ///< [2][padded_dim][32]
  float* values;  ///< [padded_dim / 32][64][32]
  int64_t padded_dim;
};

/// The pages of the tile from `tile_begin` on that hold positions of [begin, end).
void LoadTile(const CpuContext& context, const HeadPages& pages, int64_t tile_begin, int64_t begin,
              int64_t end, const TileBuffers& to);

}  // namespace atom::kernels::cpu
