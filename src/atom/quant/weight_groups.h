// How the columns of a weight W[N][K] fall into groups: [0, low_bit) in groups of `width`, then the
// outlier columns. Round-to-nearest and GPTQ share this arithmetic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/quant/formats.h"
#include "atom/quant/grid.h"

namespace atom::quant {

inline GroupFormat ToGroupFormat(const WeightFormat& format) {
  return {.bits = format.bits,
          .number = format.number,
          .symmetric = format.symmetric,
          .clip = format.clip,
          .reference_parity = format.reference_parity};
}

struct WeightGroups {
  int64_t n;
  int64_t k;
  int64_t low_bit;  ///< columns that are not outliers
  int64_t width;    ///< columns that share a scale; divides low_bit

  WeightGroups(int64_t rows, int64_t columns, const WeightFormat& format)
      : n(rows),
        k(columns),
        low_bit(columns - format.OutlierColumns(columns)),
        width(format.group == 0 ? low_bit : format.group) {}

  int64_t groups() const { return low_bit == 0 ? 0 : low_bit / width; }

  /// One row of one group.
  template <class T>
  std::span<T> Segment(std::span<T> w, int64_t group, int64_t row) const {
    return w.subspan(static_cast<size_t>(row * k + group * width), static_cast<size_t>(width));
  }

  /// The range of `rows` adjacent rows of one group.
  ValueRange Range(std::span<const float> w, int64_t group, int64_t row, int64_t rows) const {
    ValueRange range;
    for (int64_t r = row; r < row + rows; ++r) range.Add(Segment(w, group, r));
    return range;
  }
};

/// The scales of a weight's low-bit groups, as they are stored, widened.
struct WeightScales {
  std::vector<float> groups;  ///< [groups][N]
  std::vector<float> rows;    ///< [N] S of each row (two_level.h), or empty: fp16 scales

  /// GroupFormat::row_scale of a row.
  float RowScaleOf(int64_t row) const {
    return rows.empty() ? 0.0f : rows[static_cast<size_t>(row)];
  }
};

}  // namespace atom::quant
