// What the products with packed weights (packed_layout.h) share: a step is a group, or the
// outliers.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

inline int64_t Steps(const PackedLayout& l) { return l.groups + (l.k8 > 0 ? 1 : 0); }

/// Where a column of tiles finds the codes and scales of its step, for its first vector.
struct StepStream {
  const uint8_t* codes;
  const Half* scales;
};
inline StepStream FindStep(const PackedBlock& b, TilePlace at) {
  const PackedLayout& l = *b.layout;
  const uint8_t* codes = b.w + at.panel() * l.panel_bytes + at.step * l.group_bytes;
  const int64_t lines = at.step < l.groups ? l.group_dwords : 2 * l.outlier_dwords;
  const auto* scales = reinterpret_cast<const Half*>(codes + lines * kLineBytes);
  return {codes, scales + at.half() * 16};
}
inline F32x16 WeightScale(const PackedBlock& b, StepStream stream, int v) {
  return Widen(stream.scales + v / kPanelVectors * (b.layout->panel_bytes / 2) +
               v % kPanelVectors * 16);
}

/// acc = update(r, v, acc) for a tile, from acc = 0 in the first step.
template <int R, int V, class Update>
[[gnu::always_inline]] inline void UpdateAcc(bool first, float* acc, int64_t stride,
                                             const Update& update) {
  if (first) {
    ForTile<R, V>([&](int r, int v) { Store(acc + r * stride + v * 16, update(r, v, Zero())); });
  } else {
    ForTile<R, V>([&](int r, int v) {
      float* sum = acc + r * stride + v * 16;
      Store(sum, update(r, v, Load(sum)));
    });
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
