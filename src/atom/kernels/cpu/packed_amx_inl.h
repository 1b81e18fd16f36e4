// Packed weights times codes in tiles of AMX, from 16 rows on; more than 32 share whole panels
// (packed_amx_panel_inl.h). A step (a group, the outliers, or
// all groups of two-level scales) becomes lines of unsigned bytes in scratch, those of a column's V
// vectors side by side, for all rows of a block: lines 16 d … 16 d + 15 of a vector are a tile.
//
// clang-format off
//                     w: 16 lines × V vectors, `folded`
//                     +------+------+------+------+
//                     | w 0  | w 1  | w 2  | w 3  |
//   x                 +------+------+------+------+
//   +------------+    +------+------+
//   | rows  0-15 |    | sums | sums |      two tiles of rows × two of outputs at a time, so that
//   +------------+    +------+------+      a tile that was loaded meets two
//   | rows 16-31 |    | sums | sums |
//   +------------+    +------+------+
// clang-format on
//
// Sums start at 0; what the offset of the bytes adds is taken away when they are promoted to fp32.
// A last tile of rows reads what lies behind the block's rows (CpuActivation has whole tiles), and
// its sums are not looked at; a last tile of lines is filled up with zeros.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/amx_tiles.h"
#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// Rows whose sums `tile_sums` holds.
constexpr int64_t kFewTileRows = kTileSums / kColumnOutputs;

template <int V>
struct AmxColumn {
  using Bytes = IntegerTile::OutlierStep<V>;  // weights as they are in scratch: none is raw
  using Place = IntegerTile::StepPlace;

  /// All steps of the column of V vectors.
  static void Run(const PackedBlock& b, int64_t vector) {
    const PackedLayout& l = *b.layout;
    if (l.two_level && l.groups > 0) RunGroupsAtOnce(b, {0, vector, 0});
    for (TilePlace at{0, vector, l.two_level ? l.groups : 0}; at.step < Steps(l); ++at.step) {
      RunStep(b, at);
    }
    WriteColumn(b, vector, V);
  }

  /// Two-level scales.
  static void RunGroupsAtOnce(const PackedBlock& b, TilePlace at) {
    const auto fold = [&](int64_t first, int64_t dwords) {
      TwoLevelTile::FoldColumn<V>(b, at, first, dwords, b.folded);
      const PackedLayout& l = *b.layout;
      const TilePlace last{0, at.vector, (first + dwords - 1) / l.group_dwords};
      return FindStep(b, last).codes + l.group_bytes;
    };
    F32x16 row_scale[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) row_scale[v] = RowScale(b, at, v);
    const auto promote = [&](int64_t row, const I32x16(&sum)[1][V], float* acc) {
      const float x_scale = b.scales[row * b.scales_stride];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Store(acc + v * 16, TwoLevelTile::Promoted(sum[0][v], x_scale, row_scale[v]));
      }
    };
    AddProducts(b, b.codes, b.sums, FoldedDwords(*b.layout), fold, promote);
  }

  /// A group with fp16 scales, or the outliers.
  static void RunStep(const PackedBlock& b, TilePlace at) {
    const Place place(b, at, FindStep(b, at).codes);
    const IntegerTile::Promotion<V, Bytes> promotion(b, at);
    const bool first_step = at.step == 0;
    const auto promote = [&](int64_t row, const I32x16(&sum)[1][V], float* acc) {
      promotion.Add(sum, place.scale + row * b.scales_stride, 0, first_step, acc);
    };
    const int64_t panel_bytes = b.layout->panel_bytes;
    if (at.step == b.layout->groups) {
      const auto copy = [&](int64_t first, int64_t dwords) {
        CopyLines<Bytes>(place.w + first * Bytes::kStepBytes, panel_bytes, dwords, b.folded);
        return place.w + (first + dwords) * Bytes::kStepBytes;
      };
      AddProducts(b, place.x, place.start, place.dwords, copy, promote);
    } else {
      using Nibbles = typename IntegerTile::GroupStep<V, 0>;
      const auto unpack = [&](int64_t first, int64_t dwords) {
        UnpackLines(place.w + first * Nibbles::kStepBytes, panel_bytes, dwords, b.folded);
        return place.w + (first + dwords + 1) * Nibbles::kStepBytes;  // behind the scales
      };
      AddProducts(b, place.x, place.start, place.dwords, unpack, promote);
    }
  }

  template <class Step>
  static inline void CopyLines(const uint8_t* w, int64_t panel_bytes, int64_t dwords,
                               uint8_t* out) {
    for (; dwords > 0; --dwords, w += Step::kStepBytes, out += V * kLineBytes) {
      I32x16 weight[V];
      Step::LoadWeights(w, panel_bytes, weight);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) StoreInts(out + v * kLineBytes, weight[v]);
    }
  }
  static inline void UnpackLines(const uint8_t* w, int64_t panel_bytes, int64_t dwords,
                                 uint8_t* out) {
    for (; dwords > 0; --dwords, w += kLineBytes, out += V * kLineBytes) {
#pragma GCC unroll 2
      for (int v = 0; v < V; v += kPanelVectors) {
        const I32x16 bytes = LoadBytes(w + v / kPanelVectors * panel_bytes);
        StoreInts(out + v * kLineBytes, LowNibbles(bytes));
        StoreInts(out + (v + 1) * kLineBytes, LowNibbles(SixteenthOf(bytes)));
      }
    }
  }

  /// Sums of a step of `dwords` lines, kFoldedDwords at a time: write(first, count) puts them into
  /// scratch and says where the next ones are. Then promote(row, sums, acc of the row) for each
  /// row; `start` is what sums start with.
  template <class Write, class Promote>
  static inline void AddProducts(const PackedBlock& b, const int8_t* x, const int32_t* start,
                                 int64_t dwords, const Write& write, const Promote& promote) {
    for (int64_t first = 0; first < dwords; first += kFoldedDwords) {
      const int64_t count = dwords - first < kFoldedDwords ? dwords - first : kFoldedDwords;
      const uint8_t* next = write(first, count);
      int64_t lines = count;
      for (; lines % kTileDwords != 0; ++lines) {
        for (int v = 0; v < V; ++v) StoreInts(b.folded + (lines * V + v) * kLineBytes, SetInt(0));
      }
      // All rows share the work of asking for them.
      const int64_t pairs = (b.rows + 2 * kTileRows - 1) / (2 * kTileRows);
      const int64_t share = (kFoldedDwords + pairs - 1) / pairs;
      for (int64_t row = 0; row < b.rows; row += 2 * kTileRows) {
        for (int v = 0; v < V; v += kPanelVectors) {
          const uint8_t* lines_of_panel = next + v / kPanelVectors * b.layout->panel_bytes;
          for (int64_t i = 0; i < share; ++i) {
            __builtin_prefetch(lines_of_panel + i * kLineBytes, 0, 2);
          }
        }
        next += share * kLineBytes;
        const int8_t* from = x + row * b.codes_stride + 4 * first;
        const int64_t rows = b.rows - row < 2 * kTileRows ? b.rows - row : 2 * kTileRows;
        if (rows > kTileRows) {
          for (int v = 0; v < V; v += 2) {
            MultiplyTiles<2, 2>(b, row, v, from, lines, first == 0);
          }
        } else {
          MultiplyTiles<1, V>(b, row, 0, from, lines, first == 0);
        }
        if (first + count < dwords) continue;
        for (int64_t r = row; r < row + rows; ++r) {
          const I32x16 offset = SetInt(start[r * b.sums_stride]);
          const int32_t* sums = b.tile_sums + r * kColumnOutputs;
          I32x16 sum[1][V];
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) {
            sum[0][v] = AddInt(LoadBytes(reinterpret_cast<const uint8_t*>(sums + v * 16)), offset);
          }
          promote(r, sum, b.acc + r * kColumnOutputs);
        }
      }
    }
  }

  /// R tiles of rows from `row` on times T vectors from `vector` of the column on.
  template <int R, int T>
  static inline void MultiplyTiles(const PackedBlock& b, int64_t row, int64_t vector,
                                   const int8_t* x, int64_t lines, bool first) {
    constexpr int kX = 4;  // tiles 4 and 5; sums are 0 … 3
    constexpr int kW = 6;  // and 7
    constexpr int64_t kSumsStride = kColumnOutputs * 4;
    int32_t* sums = b.tile_sums + row * kColumnOutputs + vector * 16;
    const auto place = [&](int r, int t) { return sums + r * kTileRows * kColumnOutputs + t * 16; };
    const auto for_sums = [](const auto& each) {
      ForIndex<R>([&](auto r) { ForIndex<T>([&](auto t) { each(r, t); }); });
    };
    for_sums([&](auto r, auto t) {
      constexpr int kSums = decltype(r)::value * T + decltype(t)::value;
      if (first) {
        ZeroTile<kSums>();
      } else {
        LoadTile<kSums>(place(r.value, t.value), kSumsStride);
      }
    });
    const uint8_t* w = b.folded + vector * kLineBytes;
    for (; lines > 0; lines -= kTileDwords) {
      ForIndex<R>([&](auto r) {
        LoadTile<kX + decltype(r)::value>(x + r.value * kTileRows * b.codes_stride, b.codes_stride);
      });
      ForIndex<T>([&](auto t) {
        constexpr int kTile = kW + decltype(t)::value % 2;
        LoadTile<kTile>(w + t.value * kLineBytes, V * kLineBytes);
        ForIndex<R>([&](auto r) {
          constexpr int kRow = decltype(r)::value;
          DotTiles<kRow * T + decltype(t)::value, kX + kRow, kTile>();
        });
      });
      x += 4 * kTileDwords;
      w += kTileDwords * V * kLineBytes;
    }
    for_sums([&](auto r, auto t) {
      constexpr int kSums = decltype(r)::value * T + decltype(t)::value;
      StoreTile<kSums>(place(r.value, t.value), kSumsStride);
    });
  }
};

/// Both formats of scales.
inline void MultiplyInTiles(const PackedBlock& block) {
  const TileRegion region;
  if (block.rows > kFewTileRows) {
    for (int64_t panel = 0; panel < block.panels; ++panel) AmxPanel(block, panel).Run();
    return;
  }
  const int64_t vectors = block.panels * kPanelVectors;
  int64_t vector = 0;
  for (; vector + 4 <= vectors; vector += 4) AmxColumn<4>::Run(block, vector);
  if (vector < vectors) AmxColumn<2>::Run(block, vector);
}

}  // namespace
}  // namespace atom::kernels::cpu
