// How a block is cut into register tiles, for every product: columns of tiles, each step by step.
// The weights of a column's step stay in the nearest cache while all rows pass over them, tall
// tiles first, then the rows left over in ever smaller ones.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/packed_layout.h"

namespace atom::kernels::cpu {
namespace {

constexpr int kPanelVectors = kPanelOutputs / 16;

constexpr int FewerRows(int rows) { return rows > 8 ? 8 : rows > 4 ? 4 : rows / 2; }

/// A column of tiles in its block, from `row` on. Vectors of 16 outputs are counted across panels.
struct TilePlace {
  int64_t row;
  int64_t vector;
  int64_t step;  ///< a product of several steps (groups) finishes each for all rows

  int64_t panel() const { return vector / kPanelVectors; }
  int64_t half() const { return vector % kPanelVectors; }
};

/// each(r, v) for every register of a tile, unrolled.
template <int R, int V, class Each>
[[gnu::always_inline]] inline void ForTile(const Each& each) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) each(r, v);
  }
}

/// A column of tiles from at.row on: as many of R rows as there are, then ever smaller ones.
template <class Tile, int R, int V, class Block>
inline void RunColumn(const Block& block, TilePlace at) {
  const int64_t tiles = (block.rows - at.row) / R;
  if (tiles > 0) Tile::template Run<R, V>(block, at, tiles);
  at.row += tiles * R;
  if constexpr (R > 1) {
    if (at.row < block.rows) RunColumn<Tile, FewerRows(R), V>(block, at);
  }
}

/// All columns and steps of a block in tiles of at most R rows and V vectors.
template <class Tile, int R, int V, class Block>
inline void RunTiles(const Block& block, int64_t steps) {
  const int64_t vectors = block.panels * kPanelVectors;
  int64_t vector = 0;
  for (; vector + V <= vectors; vector += V) {
    for (int64_t step = 0; step < steps; ++step) {
      RunColumn<Tile, R, V>(block, TilePlace{0, vector, step});
    }
    Tile::Finish(block, vector, V);
  }
  if constexpr (V > kPanelVectors) {  // an odd panel is left
    for (; vector < vectors; vector += kPanelVectors) {
      for (int64_t step = 0; step < steps; ++step) {
        RunColumn<Tile, R, kPanelVectors>(block, TilePlace{0, vector, step});
      }
      Tile::Finish(block, vector, kPanelVectors);
    }
  }
}

/// The same, wider where few rows leave registers free.
template <class Tile, int R, int V, class Block>
inline void RunTilesByRows(const Block& block, int64_t steps) {
  if (block.rows <= kFewRows) return RunTiles<Tile, kFewRows, kFewRowsVectors>(block, steps);
  RunTiles<Tile, R, V>(block, steps);
}

}  // namespace
}  // namespace atom::kernels::cpu
