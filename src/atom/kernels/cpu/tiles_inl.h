// How a block is cut into register tiles, for every product: tall tiles first, then the rows left
// over in ever smaller ones. Weights of one column of tiles stay in the nearest cache while all
// rows pass over them.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/packed_layout.h"

namespace atom::kernels::cpu {
namespace {

constexpr int kPanelVectors = kPanelOutputs / 16;

constexpr int VectorsFor(int rows) { return rows <= kFewRows ? kFewRowsVectors : kVectors; }
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

/// `tiles` tiles of kRows rows from `row` on, for all columns and steps.
template <class Tile, int kRows, class Block>
inline void RunRows(const Block& block, int64_t steps, int64_t row, int64_t tiles) {
  constexpr int kWide = Tile::Vectors(kRows);
  const int64_t vectors = block.panels * kPanelVectors;
  int64_t vector = 0;
  for (; vector + kWide <= vectors; vector += kWide) {
    for (int64_t step = 0; step < steps; ++step) {
      Tile::template Run<kRows, kWide>(block, TilePlace{row, vector, step}, tiles);
    }
  }
  if constexpr (kWide > kPanelVectors) {  // an odd panel is left
    for (; vector < vectors; vector += kPanelVectors) {
      for (int64_t step = 0; step < steps; ++step) {
        Tile::template Run<kRows, kPanelVectors>(block, TilePlace{row, vector, step}, tiles);
      }
    }
  }
}

template <class Tile, int kRows, class Block>
inline void RunTiles(const Block& block, int64_t steps, int64_t row = 0) {
  const int64_t tiles = (block.rows - row) / kRows;
  if (tiles > 0) RunRows<Tile, kRows>(block, steps, row, tiles);
  row += tiles * kRows;
  if constexpr (kRows > 1) {
    if (row < block.rows) RunTiles<Tile, FewerRows(kRows)>(block, steps, row);
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
