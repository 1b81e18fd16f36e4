// Packed weights times codes in tiles of AMX where many rows share a panel: all of its weights
// become bytes in scratch, in L2, then two tiles of rows at a time pass through all of K. Their
// sums stay in tiles until they are promoted: loading and storing them again takes as long as four
// products. Sums start at 0; what the offset of the bytes adds is taken away when they are
// promoted.
//
//   x                   w: 16 lines × 2 vectors   what a thread's caches hold, K = 2048
//   +------------+      +------+------+           w      64 KB   L2
//   | rows  0-15 |      | sums | sums |           x      64 KB   two tiles of rows, all of K: L2
//   +------------+      +------+------+           sums,  8 KB    L1
//   | rows 16-31 |      | sums | sums |           acc    8 KB    L1
//   +------------+      +------+------+
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/amx_tiles.h"
#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// Asked for while tiles multiply: a few lines of the next panel in each step, and where the rows
/// will be written to.
struct TileRequests {
  const uint8_t* weights;
  int64_t lines;  ///< of weights, in a step
  const float* y;
  int64_t y_stride;
  int64_t y_rows;

  inline void Step() {
    for (int64_t i = 0; i < lines; ++i) __builtin_prefetch(weights + i * kLineBytes, 0, 2);
    weights += lines * kLineBytes;
    if (y_rows == 0) return;
    --y_rows;
    __builtin_prefetch(y, 1);
    __builtin_prefetch(y + 16, 1);
    y += y_stride;
  }
};

/// One panel times all rows of a block. K falls into pieces: a group with fp16 scales, so many
/// lines of the groups of two-level scales as are folded at a time, and last the outliers.
struct AmxPanel {
  static constexpr int V = kPanelVectors;
  static constexpr int64_t kStepBytes = V * kLineBytes;  // weights as they are in scratch
  using Bytes = IntegerTile::OutlierStep<V>;
  using Place = IntegerTile::StepPlace;

  const PackedBlock& b;
  int64_t vector;
  int64_t low_lines;    ///< of all groups
  int64_t piece_lines;  ///< of them in a piece, but for the last
  int64_t piece_bytes;  ///< in scratch, in whole tiles
  int64_t low_pieces;

  AmxPanel(const PackedBlock& block, int64_t panel) : b(block), vector(panel * V) {
    const PackedLayout& l = *b.layout;
    low_lines = l.groups * l.group_dwords;
    piece_lines = l.two_level ? kFoldedDwords : l.group_dwords;
    piece_bytes = WholeTiles(piece_lines) * kStepBytes;
    low_pieces = low_lines == 0 ? 0 : (low_lines + piece_lines - 1) / piece_lines;
  }
  static int64_t WholeTiles(int64_t lines) {
    return (lines + kTileDwords - 1) / kTileDwords * kTileDwords;
  }
  int64_t Pieces() const { return low_pieces + (b.layout->k8 > 0 ? 1 : 0); }
  int64_t LinesOf(int64_t piece) const {
    if (piece == low_pieces) return b.layout->outlier_dwords;
    const int64_t left = low_lines - piece * piece_lines;
    return left < piece_lines ? left : piece_lines;
  }
  uint8_t* ScratchOf(int64_t piece) const { return b.folded + piece * piece_bytes; }
  /// Outliers that fill their tiles are multiplied as they are.
  bool AsItIs(int64_t piece) const {
    return piece == low_pieces && b.layout->outlier_dwords % kTileDwords == 0;
  }
  const uint8_t* BytesOf(int64_t piece) const {
    return AsItIs(piece) ? FindStep(b, At(b.layout->groups)).codes : ScratchOf(piece);
  }
  /// The group or outliers that a piece's sums are promoted by.
  int64_t StepOf(int64_t piece) const {
    return piece == low_pieces ? b.layout->groups : b.layout->two_level ? 0 : piece;
  }
  TilePlace At(int64_t step) const { return {0, vector, step}; }

  void Run() const {
    const int64_t pieces = Pieces();
    for (int64_t piece = 0; piece < pieces; ++piece) Unpack(piece);
    const PackedLayout& l = *b.layout;
    const int64_t pairs = (b.rows + 2 * kTileRows - 1) / (2 * kTileRows);
    const int64_t steps = pairs * (low_pieces * piece_bytes / kStepBytes + l.outlier_dwords);
    TileRequests requests;
    requests.weights = b.w + (vector / V + 1) * l.panel_bytes;
    requests.lines = l.panel_bytes / kLineBytes * kTileDwords / steps + 1;
    requests.y_stride = b.out.y_stride;
    for (int64_t row = 0; row < b.rows; row += 2 * kTileRows) {
      const int64_t rows = b.rows - row < 2 * kTileRows ? b.rows - row : 2 * kTileRows;
      requests.y = b.out.y + row * b.out.y_stride + vector * 16;
      requests.y_rows = b.out.y_rows == nullptr ? rows : 0;
      rows > kTileRows ? RunRows<2>(row, rows, requests) : RunRows<1>(row, rows, requests);
    }
  }

  /// A piece becomes bytes, in whole tiles.
  void Unpack(int64_t piece) const {
    if (AsItIs(piece)) return;
    const PackedLayout& l = *b.layout;
    const int64_t lines = LinesOf(piece);
    uint8_t* out = ScratchOf(piece);
    const int64_t first = piece * piece_lines;
    const TilePlace at = At(piece == low_pieces ? l.groups : first / l.group_dwords);
    const uint8_t* codes = FindStep(b, at).codes;
    if (piece == low_pieces) {
      for (int64_t i = 0; i < lines * V; ++i) {
        StoreInts(out + i * kLineBytes, LoadBytes(codes + i * kLineBytes));
      }
    } else if (l.two_level) {
      TwoLevelTile::FoldColumn<V>(b, at, first, lines, out);
    } else {
      UnpackLines(codes, lines, out);
    }
    for (int64_t i = lines * V; i < WholeTiles(lines) * V; ++i) {
      StoreInts(out + i * kLineBytes, SetInt(0));
    }
  }
  static inline void UnpackLines(const uint8_t* w, int64_t lines, uint8_t* out) {
    for (; lines > 0; --lines, w += kLineBytes, out += kStepBytes) {
      const I32x16 bytes = LoadBytes(w);
      StoreInts(out, LowNibbles(bytes));
      StoreInts(out + kLineBytes, LowNibbles(SixteenthOf(bytes)));
    }
  }

  /// `rows` rows in R tiles, through all of K.
  template <int R>
  void RunRows(int64_t row, int64_t rows, TileRequests& requests) const {
    const bool two_level = b.layout->two_level;
    const int64_t pieces = Pieces();
    // Every second time from the last piece of a sum to the first: those are still in L1.
    const bool backward = row / (2 * kTileRows) % 2 == 1;
    for (int64_t i = 0; i < pieces; ++i) {
      const bool of_groups = two_level && i < low_pieces;
      const int64_t piece = of_groups && backward ? low_pieces - 1 - i : i;
      const int64_t step = StepOf(piece);
      const Place place(b, {row, vector, step}, nullptr);
      const int8_t* x = place.x + (of_groups ? 4 * piece * piece_lines : 0);
      if (!of_groups || i == 0) ZeroSums<R>();
      AddProducts<R>(x, BytesOf(piece), LinesOf(piece), requests);
      if (of_groups && i + 1 < low_pieces) continue;
      // Sums of two steps lie in two places, so that one is promoted while the next are multiplied.
      int32_t* sums = b.tile_sums + (i & 1) * kTileSums / 2;
      StoreSums<R>(sums);
      of_groups ? PromoteGroups(row, rows, sums) : Promote(place, step, rows, sums);
    }
    PackedBlock part = b;
    part.out.rows = rows;
    if (part.out.y_rows == nullptr) {
      part.out.y += row * b.out.y_stride;
    } else {
      part.out.y_rows += row;
    }
    WriteColumn(part, vector, V);
  }

  float* AccOf(int64_t row) const { return b.acc + row * kColumnOutputs; }

  static inline void LoadSums(const int32_t* sums, int64_t row, int32_t start,
                              I32x16 (&sum)[1][V]) {
    const int32_t* of_row = sums + row / kTileRows * V * kTileInts + row % kTileRows * 16;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const int32_t* from = of_row + v * kTileInts;
      sum[0][v] = AddInt(LoadBytes(reinterpret_cast<const uint8_t*>(from)), SetInt(start));
    }
  }

  /// Of a group with fp16 scales, or the outliers.
  void Promote(const Place& place, int64_t step, int64_t rows, const int32_t* sums) const {
    const IntegerTile::Promotion<V, Bytes> promotion(b, At(step));
    for (int64_t r = 0; r < rows; ++r) {
      I32x16 sum[1][V];
      LoadSums(sums, r, place.start[r * b.sums_stride], sum);
      promotion.Add(sum, place.scale + r * b.scales_stride, 0, step == 0, AccOf(r));
    }
  }

  /// Two-level scales.
  void PromoteGroups(int64_t row, int64_t rows, const int32_t* sums) const {
    F32x16 row_scale[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) row_scale[v] = RowScale(b, At(0), v);
    for (int64_t r = 0; r < rows; ++r) {
      I32x16 sum[1][V];
      LoadSums(sums, r, b.sums[(row + r) * b.sums_stride], sum);
      const float x_scale = b.scales[(row + r) * b.scales_stride];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        Store(AccOf(r) + v * 16, TwoLevelTile::Promoted(sum[0][v], x_scale, row_scale[v]));
      }
    }
  }

  // Sums are tiles 0 … 3, [R][V].
  template <int R>
  static inline void ZeroSums() {
    ForIndex<R * V>([&](auto i) { ZeroTile<decltype(i)::value>(); });
  }
  template <int R>
  static inline void StoreSums(int32_t* sums) {
    ForIndex<R * V>(
        [&](auto i) { StoreTile<decltype(i)::value>(sums + i.value * kTileInts, kLineBytes); });
  }
  /// += x · w over `lines` lines and what fills up their tiles.
  template <int R>
  inline void AddProducts(const int8_t* x, const uint8_t* w, int64_t lines,
                          TileRequests& requests) const {
    constexpr int kX = 4;  // tiles 4 and 5
    constexpr int kW = 6;  // and 7
    const int64_t x_stride = b.codes_stride;
    for (; lines > 0; lines -= kTileDwords) {
      ForIndex<R>([&](auto r) {
        LoadTile<kX + decltype(r)::value>(x + r.value * kTileRows * x_stride, x_stride);
      });
      ForIndex<V>([&](auto t) {
        constexpr int kTile = kW + decltype(t)::value;
        LoadTile<kTile>(w + t.value * kLineBytes, kStepBytes);
        ForIndex<R>([&](auto r) {
          constexpr int kRow = decltype(r)::value;
          DotTiles<kRow * V + decltype(t)::value, kX + kRow, kTile>();
        });
      });
      requests.Step();
      x += 4 * kTileDwords;
      w += kTileDwords * kStepBytes;
    }
  }
};

}  // namespace
}  // namespace atom::kernels::cpu
