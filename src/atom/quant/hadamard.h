// The block Hadamard transform of a linear's low-bit columns (docs/numerics.md, section 2): it
// spreads what sticks out of a group over the whole group. The matrix is symmetric and its own
// inverse, so that a product stays what it is when the columns of both its operands are rotated.
#pragma once

#include <cstdint>
#include <span>

namespace atom::quant {

/// True for 1, 2, 4, …
bool IsPowerOfTwo(int64_t width);

/// Multiplies each block of `width` values by the normalized Hadamard matrix of Sylvester: sums and
/// differences at distances 1, 2, 4, …, then one product by fp32(1 / sqrt(width)).
/// REQUIRES: width is a power of two that divides x.size(); 0 rotates nothing.
void RotateBlocks(int64_t width, std::span<float> x);

/// The same with the first `columns` of each of the `rows` rows of w.
void RotateColumns(int64_t width, int64_t columns, int64_t rows, std::span<float> w);

}  // namespace atom::quant
