// Products of fake-quantized activations with packed weights (`--simulate`): sums of double, in
// which values scale · code are exact, rounded where the integer kernels round. For study: plain
// loops.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kSimulatedRows = 16;
constexpr int64_t kSimulatedInputs = 64;

struct SimulatedSums {
  double dot[kSimulatedRows][kPanelOutputs];
};

/// The code of output i of a panel at input k of a step whose first line is `codes`.
inline double CodeAt(const uint8_t* codes, bool outliers, int64_t input, int64_t i) {
  const int64_t lane = 4 * (i % 16) + input % 4;
  if (outliers) return codes[(2 * (input / 4) + i / 16) * kLineBytes + lane] - 128;
  const int byte = codes[input / 4 * kLineBytes + lane];
  return (i < 16 ? byte & 15 : byte >> 4) - 8;
}

/// sums += x · w over inputs [first, end) of the step; x points at the step's first input.
inline void AddExactProducts(const float* x, int64_t x_stride, int64_t rows, const uint8_t* codes,
                             bool outliers, int64_t skipped, int64_t first, int64_t end,
                             SimulatedSums& sums) {
  double weights[kSimulatedInputs][kPanelOutputs];
  for (int64_t k = first; k < end; ++k) {
    for (int64_t i = 0; i < kPanelOutputs; ++i) {
      weights[k - first][i] = CodeAt(codes, outliers, k + skipped, i);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = first; k < end; ++k) {
      const double value = x[r * x_stride + k];
      for (int64_t i = 0; i < kPanelOutputs; ++i) sums.dot[r][i] += value * weights[k - first][i];
    }
  }
}

inline void MultiplySimulatedStep(const PackedBlock& b, int64_t panel, int64_t step) {
  const PackedLayout& l = *b.layout;
  const bool outliers = step == l.groups;
  const uint8_t* codes = b.w + panel * l.panel_bytes + step * l.group_bytes;
  const int64_t lines = outliers ? 2 * l.outlier_dwords : l.group_dwords;
  const auto* halves = reinterpret_cast<const Half*>(codes + lines * kLineBytes);
  float scales[kPanelOutputs];
  Store(scales, Widen(halves));
  Store(scales + 16, Widen(halves + 16));
  const int64_t inputs = outliers ? l.k8 : l.group;
  const int64_t skipped =
      outliers ? 0 : step * l.group % 4;  // of the first line: the group before's
  for (int64_t row = 0; row < b.rows; row += kSimulatedRows) {
    const int64_t rows = b.rows - row < kSimulatedRows ? b.rows - row : kSimulatedRows;
    const float* x = b.x + row * b.x_stride + step * l.group;  // groups · G = K4
    SimulatedSums sums = {};
    for (int64_t k = 0; k < inputs; k += kSimulatedInputs) {
      const int64_t end = k + kSimulatedInputs < inputs ? k + kSimulatedInputs : inputs;
      AddExactProducts(x, b.x_stride, rows, codes, outliers, skipped, k, end, sums);
    }
    for (int64_t r = 0; r < rows; ++r) {
      float* acc = b.acc + (row + r) * b.acc_stride + panel * kPanelOutputs;
      for (int64_t i = 0; i < kPanelOutputs; ++i) {
        const double before = step == 0 ? 0.0 : static_cast<double>(acc[i]);
        acc[i] = static_cast<float>(before + sums.dot[r][i] * static_cast<double>(scales[i]));
      }
    }
  }
}

void MultiplySimulated(const PackedBlock& b) {
  for (int64_t panel = 0; panel < b.panels; ++panel) {
    for (int64_t step = 0; step < Steps(*b.layout); ++step) MultiplySimulatedStep(b, panel, step);
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
