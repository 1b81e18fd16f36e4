// The one packed layout of a quantized weight W[N][K], on disk and as the input of
// Backend::Prepack. Columns were permuted so that the outlier columns come last:
//
//        |<------------- K4: 4-bit ------------->|<- K8: INT8 ->|
//   row n| group 0 | group 1 | ...   | K4/G - 1  |   outliers   |
//
//   codes4  [N][K4/2]  bytes   element (n,k): byte k/2, even k in the low nibble;
//                              two's complement -8..7
//   scales4 [K4/G][N]  fp16    value = scale * code; or two-level scales (two_level.h),
//   multipliers4 [K4/G][(N+1)/2] bytes, row_scales4 [N] fp32
//                              value = row scale * multiplier * code; element (g,n) of the
//                              multipliers, 1..15: byte n/2, even n in the low nibble
//   codes8  [N][K8]    int8
//   scales8 [N]        fp16
//
// Scales are stored per row even where a channel group shared their fit. G divides K4. One scale
// per channel is G = K4; no outliers is K8 = 0 (codes8 and scales8 empty); W8A8 is K4 = 0 (codes4
// and scales4 empty, group 0). docs/formats/quantized_matrix.md spells a 2 × 6 example by hand.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/core/half.h"
#include "atom/quant/formats.h"

namespace atom::quant {

struct QuantizedMatrix;

/// A quantized weight that is stored elsewhere, in a mapped file or a QuantizedMatrix. Never owns.
struct QuantizedView {
  int64_t n = 0;
  int64_t k4 = 0;
  int64_t k8 = 0;
  int64_t group = 0;
  std::span<const uint8_t> codes4;
  std::span<const Half> scales4;          // or
  std::span<const uint8_t> multipliers4;  // and
  std::span<const float> row_scales4;
  std::span<const int8_t> codes8;
  std::span<const Half> scales8;

  QuantizedView() = default;
  QuantizedView(const QuantizedMatrix& matrix);  // NOLINT: a matrix is accepted where a view is

  int64_t k() const { return k4 + k8; }
  int64_t groups() const { return k4 == 0 ? 0 : k4 / group; }
  int8_t Code4(int64_t row, int64_t column) const {
    const uint8_t byte = codes4[static_cast<size_t>(row * (k4 / 2) + column / 2)];
    const int nibble = column % 2 == 0 ? byte & 15 : byte >> 4;
    return static_cast<int8_t>(nibble >= 8 ? nibble - 16 : nibble);
  }
  ScaleFormat scale_format() const {
    return row_scales4.empty() ? ScaleFormat::kFp16 : ScaleFormat::kTwoLevel;
  }
  /// REQUIRES: two-level scales.
  int Multiplier4(int64_t row, int64_t g) const {
    const uint8_t byte = multipliers4[static_cast<size_t>(g * ((n + 1) / 2) + row / 2)];
    return row % 2 == 0 ? byte & 15 : byte >> 4;
  }
  float Scale4(int64_t row, int64_t column) const {
    const int64_t g = column / group;
    if (row_scales4.empty()) return ToFloat(scales4[static_cast<size_t>(g * n + row)]);
    return row_scales4[static_cast<size_t>(row)] * static_cast<float>(Multiplier4(row, g));
  }
  /// scale * code of row `row`, in fp32 (exact product rounded once); out has k() elements.
  void DequantizeRow(int64_t row, std::span<float> out) const;
};

/// The same, owned.
struct QuantizedMatrix {
  int64_t n = 0;
  int64_t k4 = 0;
  int64_t k8 = 0;
  int64_t group = 0;
  std::vector<uint8_t> codes4;
  std::vector<Half> scales4;
  std::vector<uint8_t> multipliers4;
  std::vector<float> row_scales4;
  std::vector<int8_t> codes8;
  std::vector<Half> scales8;

  /// Zeroed codes and scales of the right sizes. REQUIRES: k4 even and divided by group.
  QuantizedMatrix(int64_t n, int64_t k4, int64_t k8, int64_t group,
                  ScaleFormat scales = ScaleFormat::kFp16);
  QuantizedMatrix() = default;
  /// A copy.
  explicit QuantizedMatrix(const QuantizedView& view);

  int64_t k() const { return k4 + k8; }
  int64_t groups() const { return k4 == 0 ? 0 : k4 / group; }
  int8_t Code4(int64_t row, int64_t column) const {
    return QuantizedView(*this).Code4(row, column);
  }
  ScaleFormat scale_format() const { return QuantizedView(*this).scale_format(); }
  int Multiplier4(int64_t row, int64_t g) const { return QuantizedView(*this).Multiplier4(row, g); }
  void SetCode4(int64_t row, int64_t column, int code);
  void SetMultiplier4(int64_t row, int64_t g, int multiplier);
  float Scale4(int64_t row, int64_t column) const {
    return QuantizedView(*this).Scale4(row, column);
  }
  void DequantizeRow(int64_t row, std::span<float> out) const {
    QuantizedView(*this).DequantizeRow(row, out);
  }
  /// Codes and scales in bits, divided by n * k.
  double BitsPerWeight() const;

  friend bool operator==(const QuantizedMatrix&, const QuantizedMatrix&) = default;
};

inline QuantizedView::QuantizedView(const QuantizedMatrix& matrix)
    : n(matrix.n),
      k4(matrix.k4),
      k8(matrix.k8),
      group(matrix.group),
      codes4(matrix.codes4),
      scales4(matrix.scales4),
      multipliers4(matrix.multipliers4),
      row_scales4(matrix.row_scales4),
      codes8(matrix.codes8),
      scales8(matrix.scales8) {}

}  // namespace atom::quant
