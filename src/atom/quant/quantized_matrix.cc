#include "atom/quant/quantized_matrix.h"

#include "atom/core/check.h"
#include "atom/quant/two_level.h"

namespace atom::quant {
namespace {

/// Element `index` of an array of nibbles: even ones are low.
void SetNibble(uint8_t& byte, int64_t index, int nibble) {
  byte =
      static_cast<uint8_t>(index % 2 == 0 ? (byte & 0xf0) | nibble : (byte & 0x0f) | (nibble << 4));
}

}  // namespace

QuantizedMatrix::QuantizedMatrix(int64_t rows, int64_t low_bit, int64_t outliers, int64_t width,
                                 ScaleFormat scales)
    : n(rows), k4(low_bit), k8(outliers), group(width) {
  ATOM_CHECK(n >= 0 && k8 >= 0 && k4 >= 0 && k4 % 2 == 0, "n = {}, k4 = {}, k8 = {}", n, k4, k8);
  ATOM_CHECK(k4 == 0 ? group == 0 : group > 0 && k4 % group == 0, "k4 = {}, group = {}", k4, group);
  codes4.resize(static_cast<size_t>(n * (k4 / 2)));
  if (scales == ScaleFormat::kFp16) {
    scales4.resize(static_cast<size_t>(groups() * n));
  } else if (k4 > 0) {
    multipliers4.resize(static_cast<size_t>(groups() * ((n + 1) / 2)));
    row_scales4.resize(static_cast<size_t>(n));
  }
  codes8.resize(static_cast<size_t>(n * k8));
  scales8.resize(k8 == 0 ? 0 : static_cast<size_t>(n));
}

QuantizedMatrix::QuantizedMatrix(const QuantizedView& view)
    : n(view.n),
      k4(view.k4),
      k8(view.k8),
      group(view.group),
      codes4(view.codes4.begin(), view.codes4.end()),
      scales4(view.scales4.begin(), view.scales4.end()),
      multipliers4(view.multipliers4.begin(), view.multipliers4.end()),
      row_scales4(view.row_scales4.begin(), view.row_scales4.end()),
      codes8(view.codes8.begin(), view.codes8.end()),
      scales8(view.scales8.begin(), view.scales8.end()) {}

void QuantizedMatrix::SetCode4(int64_t row, int64_t column, int code) {
  ATOM_CHECK(code >= -8 && code <= 7, "code {} at ({}, {})", code, row, column);
  SetNibble(codes4[static_cast<size_t>(row * (k4 / 2) + column / 2)], column, code & 15);
}

void QuantizedMatrix::SetMultiplier4(int64_t row, int64_t g, int multiplier) {
  ATOM_CHECK(multiplier >= 1 && multiplier <= kMaxMultiplier, "multiplier {} at ({}, {})",
             multiplier, g, row);
  SetNibble(multipliers4[static_cast<size_t>(g * ((n + 1) / 2) + row / 2)], row, multiplier);
}

void QuantizedView::DequantizeRow(int64_t row, std::span<float> out) const {
  ATOM_CHECK(static_cast<int64_t>(out.size()) == k(), "{} values for {} columns", out.size(), k());
  for (int64_t first = 0; first < k4; first += group) {
    const float scale = Scale4(row, first);
    for (int64_t column = first; column < first + group; ++column) {
      out[static_cast<size_t>(column)] = scale * static_cast<float>(Code4(row, column));
    }
  }
  if (k8 == 0) return;
  const float scale = ToFloat(scales8[static_cast<size_t>(row)]);
  for (int64_t column = 0; column < k8; ++column) {
    out[static_cast<size_t>(k4 + column)] =
        scale * static_cast<float>(codes8[static_cast<size_t>(row * k8 + column)]);
  }
}

double QuantizedMatrix::BitsPerWeight() const {
  if (n * k() == 0) return 0.0;
  const size_t code_bytes = codes4.size() + codes8.size();
  const size_t scale_bytes = (scales4.size() + scales8.size()) * sizeof(Half) +
                             multipliers4.size() + row_scales4.size() * sizeof(float);
  return 8.0 * static_cast<double>(code_bytes + scale_bytes) / static_cast<double>(n * k());
}

}  // namespace atom::quant
