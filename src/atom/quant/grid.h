// The grid of a group: the points that its values are rounded to, fitted to the range of the
// values. Every number format is `point = scale · code + base` with codes of its own, so that
// round-to-nearest, GPTQ and the activation quantizers share one rounding loop.
#pragma once

#include <span>

#include "atom/core/half.h"
#include "atom/quant/formats.h"
#include "atom/quant/group_quant.h"

namespace atom::quant {

/// The lowest and the highest value of a group, NaN counted as 0. Starts as nothing.
struct ValueRange {
  float low = 0.0f;
  float high = 0.0f;
  bool empty = true;

  void Add(std::span<const float> x);
  void Add(const ValueRange& other);
  float amax() const { return -low > high ? -low : high; }
};

struct Grid {
  float scale = 1.0f;  ///< the stored scale, widened
  float inv = 1.0f;    ///< 1 / scale
  float low = 0.0f;    ///< codes are clamped to [low, high]
  float high = 0.0f;
  float base = 0.0f;  ///< not 0 for asymmetric exponents only
};

/// The grid of round-to-nearest: weights, activations, KV. docs/numerics.md, section 2.
/// Asymmetric ranges include 0, under reference_parity they do not.
Grid RoundToNearestGrid(const GroupFormat& format, ValueRange range);

/// The step that the grids of symmetric and asymmetric integers have before it is stored.
float RoundToNearestStep(const GroupFormat& format, ValueRange range);
/// The same of GptqGrid, but a group of zeros asks for the step of amax = 1e-5.
float GptqStep(const GroupFormat& format, ValueRange range);

/// The grid that GPTQ fits: symmetric integers span [-amax, amax] with all 2^b codes, so their step
/// is 2·amax·clip/(2^b - 1). A group of zeros is fitted as if amax were 1.
/// REQUIRES: format.number is not kExponent.
Grid GptqGrid(const GroupFormat& format, ValueRange range);

/// Replaces each value by the nearest point. A NaN becomes code 0, ±infinity an end of the range.
void RoundToGrid(NumberFormat number, const Grid& grid, std::span<float> x);

/// The grids of many rows, as arrays: GPTQ rounds one column of many rows at a time.
struct GridColumns {
  std::span<const float> scale;
  std::span<const float> inv;
  std::span<const float> low;
  std::span<const float> high;
};
/// out[r] = the point nearest to x[r] on the grid of row r; all spans have the size of x.
void RoundColumn(NumberFormat number, const GridColumns& grids, std::span<const float> x,
                 std::span<float> out);

}  // namespace atom::quant
