// Dense products: one fma chain an output, inputs ascending. The vectors run along the outputs, so
// that the order of operations is the same for every tile shape.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

struct DenseTile {
  template <class W>
  static inline void Finish(const DenseBlock<W>&, int64_t, int64_t) {}

  template <int R, int V, class W>
  static inline void Run(const DenseBlock<W>& b, TilePlace at, int64_t tiles) {
    const float* x = b.x + at.row * b.x_stride;
    float* acc = b.acc + at.row * b.acc_stride + at.vector * 16;
    const W* w = b.w + at.panel() * b.panel_stride + at.half() * 16;
    for (; tiles > 0; --tiles) {
      F32x16 sum[R][V];
      if (b.resume) {
        ForTile<R, V>([&](int r, int v) { sum[r][v] = Load(acc + r * b.acc_stride + v * 16); });
      } else {
        ForTile<R, V>([&](int r, int v) { sum[r][v] = Zero(); });
      }
      AddProducts<R, V>(x, b.x_stride, w, b.panel_stride, b.k, sum);
      ForTile<R, V>([&](int r, int v) { Store(acc + r * b.acc_stride + v * 16, sum[r][v]); });
      x += R * b.x_stride;
      acc += R * b.acc_stride;
    }
  }

  template <int R, int V, class W>
  static inline void AddProducts(const float* x, int64_t x_stride, const W* w, int64_t panel_stride,
                                 int64_t k, F32x16 (&sum)[R][V]) {
    for (; k > 0; --k) {
      F32x16 weight[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        weight[v] = Widen(w + v / kPanelVectors * panel_stride + v % kPanelVectors * 16);
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const F32x16 value = Set(x[r * x_stride]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = Fma(value, weight[v], sum[r][v]);
      }
      ++x;
      w += kPanelOutputs;
    }
  }
};

template <class W>
void MultiplyDense(const DenseBlock<W>& block) {
  RunTilesByRows<DenseTile, kFloatRows, kVectors>(block, 1);
}

}  // namespace
}  // namespace atom::kernels::cpu
