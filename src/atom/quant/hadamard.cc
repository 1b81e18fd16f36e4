#include "atom/quant/hadamard.h"

#include <bit>
#include <cmath>

#include "atom/core/check.h"

namespace atom::quant {
namespace {

/// (a, b) -> (a + b, a - b) at distance D: a constant, so that the loop vectorizes.
template <int64_t D>
void Butterflies(float* x, int64_t width) {
  for (int64_t first = 0; first < width; first += 2 * D) {
    for (int64_t i = first; i < first + D; ++i) {
      const float a = x[i];
      const float b = x[i + D];
      x[i] = a + b;
      x[i + D] = a - b;
    }
  }
}

void Butterflies(float* x, int64_t width, int64_t distance) {
  for (int64_t first = 0; first < width; first += 2 * distance) {
    float* low = x + first;
    float* high = low + distance;
    for (int64_t i = 0; i < distance; ++i) {
      const float a = low[i];
      const float b = high[i];
      low[i] = a + b;
      high[i] = a - b;
    }
  }
}

void RotateBlock(int64_t width, float factor, float* x) {
  if (width > 1) Butterflies<1>(x, width);
  if (width > 2) Butterflies<2>(x, width);
  for (int64_t distance = 4; distance < width; distance *= 2) Butterflies(x, width, distance);
  for (int64_t i = 0; i < width; ++i) x[i] *= factor;
}

}  // namespace

bool IsPowerOfTwo(int64_t width) {
  return width > 0 && std::has_single_bit(static_cast<uint64_t>(width));
}

void RotateBlocks(int64_t width, std::span<float> x) {
  if (width == 0) return;
  const auto size = static_cast<int64_t>(x.size());
  ATOM_CHECK(IsPowerOfTwo(width) && size % width == 0, "{} values in blocks of {}", size, width);
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
  for (int64_t first = 0; first < size; first += width) {
    RotateBlock(width, factor, x.data() + first);
  }
}

void RotateColumns(int64_t width, int64_t columns, int64_t rows, std::span<float> w) {
  if (width == 0 || rows == 0) return;
  const size_t stride = w.size() / static_cast<size_t>(rows);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    RotateBlocks(width, w.subspan(row * stride, static_cast<size_t>(columns)));
  }
}

}  // namespace atom::quant
