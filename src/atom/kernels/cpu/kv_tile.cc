#include "atom/kernels/cpu/kv_tile.h"

namespace atom::kernels::cpu {

void LoadTile(const CpuContext& context, const HeadPages& pages, int64_t tile_begin, int64_t begin,
              int64_t end, const TileBuffers& to) {
  const auto kind = static_cast<size_t>(pages.storage());
  for (int64_t in_tile = 0; in_tile < kTilePositions; in_tile += kKvPagePositions) {
    const int64_t first = tile_begin + in_tile;
    if (first + kKvPagePositions <= begin || first >= end) continue;
    const int64_t page = first / kKvPagePositions;
    const int64_t count = std::min(kKvPagePositions, end - first);
    float* keys =
        to.keys + in_tile / kPanelOutputs * to.padded_dim * kPanelOutputs + in_tile % kPanelOutputs;
    context.kernels.load_keys[kind](pages.Rows(0, page, count), keys);
    context.kernels.load_values[kind](pages.Rows(1, page, count),
                                      to.values + in_tile * kPanelOutputs,
                                      kTilePositions * kPanelOutputs);
  }
}

}  // namespace atom::kernels::cpu
