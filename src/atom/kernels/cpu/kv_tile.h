// A tile of 64 positions as `attend` reads it: K and V of one head, dequantized into scratch page
// by page. Queries of different blocks read different positions exactly (docs/numerics.md, 4), so a
// tile is loaded for one group of queries after the other: pages that were exact become quantized.
#pragma once

#include <optional>

#include "atom/kernels/cpu/kv_rows.h"

namespace atom::kernels::cpu {

/// Where a tile is dequantized to.
struct TileBuffers {
  float* keys;    ///< [2][padded_dim][32]
  float* values;  ///< [padded_dim / 32][64][32]
  int64_t padded_dim;
};

class TileLoader {
 public:
  TileLoader(const CpuContext& context, const StepView& step, const CpuKvLayer& kv,
             int64_t sequence, int64_t kv_head, const TileBuffers& to);

  /// The next tile, of which positions [begin, end) are seen by some query.
  void Begin(int64_t tile_begin, int64_t begin, int64_t end);
  /// Pages before position `exact_from` from their codes, the others exact.
  void Load(int64_t exact_from);

 private:
  enum class Holds { kNothing, kQuantized, kExact };
  void LoadPage(const HeadPages& pages, quant::KvStorage storage, int64_t number) const;

  const CpuContext& context_;
  quant::KvStorage storage_;
  HeadPages quantized_;
  std::optional<HeadPages> exact_;
  TileBuffers to_;
  int64_t tile_begin_ = 0;
  int64_t begin_ = 0;
  int64_t end_ = 0;
  Holds holds_[kTilePages] = {};
};

}  // namespace atom::kernels::cpu
