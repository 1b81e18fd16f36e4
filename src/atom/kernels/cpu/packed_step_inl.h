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
  const uint8_t* panel = b.w + at.panel() * l.panel_bytes;
  const uint8_t* codes = panel + (at.step < l.groups ? GroupOffset(l, at.step) : l.low_bytes);
  const int64_t lines = at.step < l.groups ? l.group_dwords : 2 * l.outlier_dwords;
  const auto* scales = reinterpret_cast<const Half*>(codes + lines * kLineBytes);
  return {codes, scales + at.half() * 16};
}
/// A scale in fp16.
inline F32x16 HalfScale(const PackedBlock& b, StepStream stream, int v) {
  return Widen(stream.scales + v / kPanelVectors * (b.layout->panel_bytes / 2) +
               v % kPanelVectors * 16);
}

/// The parts of two-level scales, for vector v of a tile at `at`.
inline I32x16 Multiplier(const PackedBlock& b, TilePlace at, int v) {
  const TilePlace vector{at.row, at.vector + v, at.step};
  const uint8_t* panel = b.w + vector.panel() * b.layout->panel_bytes;
  return NibbleOfLane(LoadBytes(panel + MultiplierOffset(*b.layout, at.step)),
                      2 * (at.step % kBlockGroups) + vector.half());
}
inline F32x16 RowScale(const PackedBlock& b, TilePlace at, int v) {
  const TilePlace vector{at.row, at.vector + v, at.step};
  const uint8_t* panel = b.w + vector.panel() * b.layout->panel_bytes;
  return Load(reinterpret_cast<const float*>(panel + RowScaleOffset(*b.layout)) +
              vector.half() * 16);
}

/// Of a step in either format.
inline F32x16 WeightScale(const PackedBlock& b, TilePlace at, StepStream stream, int v) {
  if (!b.layout->two_level || at.step == b.layout->groups) return HalfScale(b, stream, v);
  return Mul(RowScale(b, at, v), ToFloat(Multiplier(b, at, v)));
}

void WriteOutput(const OutputBlock& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const float* acc = b.acc + r * b.acc_stride;
    float* y = b.y + (b.y_rows == nullptr ? r : b.y_rows[r]) * b.y_stride;
    for (int64_t c = 0; c < b.columns; c += 16) {
      const int64_t lanes = b.columns - c < 16 ? b.columns - c : 16;
      F32x16 value = Load(acc + c);
      if (b.bias != nullptr) value = Add(value, LoadFirst(b.bias + c, lanes));
      if (b.add) value = Add(LoadFirst(y + c, lanes), value);
      StoreFirst(y + c, value, lanes);
    }
  }
}

/// Writes `count` vectors of outputs from `vector` on out of b.acc.
inline void WriteColumn(const PackedBlock& b, int64_t vector, int64_t count) {
  const int64_t first = vector * 16;
  OutputBlock part = b.out;
  part.acc = b.acc;
  part.acc_stride = kColumnOutputs;
  part.columns = b.out.columns - first < count * 16 ? b.out.columns - first : count * 16;
  if (part.bias != nullptr) part.bias += first;
  part.y += first;
  WriteOutput(part);
}

/// acc = update(r, v, acc) for a tile of a column, from acc = 0 in the first step.
template <int R, int V, class Update>
[[gnu::always_inline]] inline void UpdateAcc(bool first, float* acc, const Update& update) {
  if (first) {
    ForTile<R, V>(
        [&](int r, int v) { Store(acc + r * kColumnOutputs + v * 16, update(r, v, Zero())); });
  } else {
    ForTile<R, V>([&](int r, int v) {
      float* sum = acc + r * kColumnOutputs + v * 16;
      Store(sum, update(r, v, Load(sum)));
    });
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
