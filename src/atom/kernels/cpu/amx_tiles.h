// The vocabulary of AMX: eight tile registers of 16 rows × 64 bytes, and products of whole tiles.
// Inline assembly throughout: the tiles are no values that a compiler moves, and what it knows of
// memory must be written before a tile is loaded.
//
//   sums  16 × 16 int32   row m, output n
//   x     16 × 64 int8    row m, inputs 4 d + j of 16 dwords d                     signed
//   w     16 × 64 uint8   dword d, output n: its 4 inputs at bytes 4 n … 4 n + 3   unsigned
//
//   sums[m][n] += Σ_d Σ_j x[m][4 d + j] · w[d][4 n + j]                            tdpbsud
#pragma once

#include <cstdint>

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileDwords = 16;

/// Tiles are set up within, and left as if never used: a thread that keeps them makes every switch
/// between threads slower.
class TileRegion {
 public:
  TileRegion() {
    alignas(64) const Config config;
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~TileRegion() { asm volatile("tilerelease" ::: "memory"); }
  TileRegion(const TileRegion&) = delete;
  TileRegion& operator=(const TileRegion&) = delete;

 private:
  /// As the processor reads it.
  struct Config {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
};

template <int kTile>
[[gnu::always_inline]] inline void ZeroTile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
}
/// Rows lie `stride` bytes apart.
template <int kTile>
[[gnu::always_inline]] inline void LoadTile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(from), "r"(stride) : "memory");
}
template <int kTile>
[[gnu::always_inline]] inline void StoreTile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(kTile), "r"(to), "r"(stride) : "memory");
}
template <int kSums, int kX, int kW>
[[gnu::always_inline]] inline void DotTiles() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kX), "i"(kW));
}

template <int kValue>
struct Index {
  static constexpr int value = kValue;
};
/// each(Index<0>()), …: tiles are named by constants.
template <int kCount, int kFirst = 0, class Each>
[[gnu::always_inline]] inline void ForIndex(const Each& each) {
  if constexpr (kFirst < kCount) {
    each(Index<kFirst>());
    ForIndex<kCount, kFirst + 1>(each);
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
