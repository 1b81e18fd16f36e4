// One row of inputs times the codes of others (code_layout.h): values are made in registers and
// multiplied there, all of K in one pass over the panels. Where a token is decoded, the bytes of
// the codes are then all that memory has to bring.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// Side by side, where registers hold the sums and scales of two.
constexpr int kRowPanels = kFewRowsVectors > kPanelVectors ? 2 : 1;
/// Ahead of the codes that are multiplied.
constexpr int64_t kCodesAhead = 2048;

template <int kBits, CodeKind kKind, int kPanels>
struct RowSteps {
  using Lines = CodeLines<kBits>;

  const CodeLayout& layout;
  const uint8_t* panel;
  const float* x;
  GroupValues<kBits, kKind> values[kPanels];
  F32x16 sum[kPanels][kPanelVectors];

  inline void SetGroup(int64_t at) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      values[p].SetGroup(layout, panel + p * layout.panel_bytes + at);
    }
  }
  inline void Four(int64_t line) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      const uint8_t* at = panel + p * layout.panel_bytes + line;
      __builtin_prefetch(at + kCodesAhead);
      if constexpr (kBits == 8) __builtin_prefetch(at + kCodesAhead + kLineBytes);
      const Lines lines(at);
      Add<0>(p, x[0], lines);
      Add<1>(p, x[1], lines);
      Add<2>(p, x[2], lines);
      Add<3>(p, x[3], lines);
    }
    x += 4;
  }
  template <int J>
  inline void One(int64_t line) {
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
      Add<J>(p, *x, Lines(panel + p * layout.panel_bytes + line));
    }
    ++x;
  }
  template <int J>
  inline void Add(int p, float input, const Lines& lines) {
    const F32x16 all = Set(input);
    sum[p][0] = Fma(all, values[p].template Value<0, J>(lines), sum[p][0]);
    sum[p][1] = Fma(all, values[p].template Value<1, J>(lines), sum[p][1]);
  }
};

template <int kBits, CodeKind kKind, int kPanels>
inline void MultiplyPanels(const CodeRow& row, int64_t panel) {
  const CodeLayout& l = *row.layout;
  RowSteps<kBits, kKind, kPanels> steps{l, row.panels + panel * l.panel_bytes, row.x, {}, {}};
  ForTile<kPanels, kPanelVectors>([&](int p, int v) { steps.sum[p][v] = Zero(); });
  ForInputs<CodeLines<kBits>::kBytes>(l, row.groups_of, 0, l.k, steps);
  float* acc = row.acc + panel * kPanelOutputs;
  ForTile<kPanels, kPanelVectors>(
      [&](int p, int v) { Store(acc + p * kPanelOutputs + v * 16, steps.sum[p][v]); });
}

template <int kBits, CodeKind kKind>
void MultiplyCodeRow(const CodeRow& row) {
  int64_t panel = 0;
  for (; panel + kRowPanels <= row.count; panel += kRowPanels) {
    MultiplyPanels<kBits, kKind, kRowPanels>(row, panel);
  }
  for (; panel < row.count; ++panel) MultiplyPanels<kBits, kKind, 1>(row, panel);
}

}  // namespace
}  // namespace atom::kernels::cpu
