// How the CUDA backend lays out 16-bit operands: dense weights W[N][K], and the activations X[M][K]
// of dense and of weight-only products. Both in atoms of 8 rows × 64 columns in the 128-byte
// swizzle that wgmma reads, so that any multiple of 8 tokens, and any row block, of a K block is
// one bulk copy.
//
//   an atom        row r (of 8) of 128 B; its 16-byte chunk c lies at chunk c ^ r
//   16 columns     position 2t, 2t + 1, 2t + 8, 2t + 9 = column 4t, 4t + 2, 4t + 1, 4t + 3; t = 0 …
//   3
//
//   X   | K block 0 of 64 columns: token atoms | K block 1 | … | outlier K block 0 | …
//   W   | row block 0 of 64 rows: K block 0, 8 atoms | K block 1 | … | row block 1 | …
//
// The order inside 16 columns is that in which 4-bit weights unpack into a wgmma operand
// (streaming_fragments.cuh); a product needs the same order on both sides, so dense weights have it
// too. Beside 4-bit weights (weight-only) the outliers' K blocks begin behind the low-bit columns,
// a multiple of 64; where these end in the middle of a 4-bit K block of 128, its other half, whose
// weights are 0, meets the K block that follows.
#pragma once

#include <cstdint>
#include <span>

#include "atom/kernels/cuda/gemm/packed_activation.h"
#include "atom/kernels/cuda/gemm/packed_weight.h"

namespace atom::kernels::cuda {

inline constexpr int64_t kDenseColumns = 64;  ///< of a K block
inline constexpr int64_t kDenseBlockBytes = kBlockRows * kDenseColumns * 2;

/// Where column `column` of 64 lies in row `row` of an atom, in bytes.
constexpr int64_t DenseAtomOffset(int64_t row, int64_t column) {
  const int64_t t = column % 16 / 4;
  const int64_t position = 2 * t + column % 4 / 2 + 8 * (column % 2);
  const int64_t byte = column / 16 * 32 + position * 2;
  return row * 128 + ((byte / 16) ^ row) * 16 + byte % 16;
}

/// Sizes and places of packed 16-bit activations. Plain data.
struct PackedDenseActivationLayout {
  int64_t m = 0;
  int64_t k4 = 0;  ///< columns that meet 4-bit weights
  int64_t k8 = 0;  ///< outlier columns, or all columns beside dense weights

  constexpr int64_t token_atoms() const { return (m + kAtomTokens - 1) / kAtomTokens; }
  constexpr int64_t blocks4() const { return (k4 + kDenseColumns - 1) / kDenseColumns; }
  constexpr int64_t blocks8() const { return (k8 + kDenseColumns - 1) / kDenseColumns; }
  /// An even number: half of a 4-bit K block may lie behind the last column.
  constexpr int64_t blocks() const { return (blocks4() + blocks8() + 1) / 2 * 2; }
  constexpr int64_t block_bytes() const { return token_atoms() * kAtomBytes; }
  constexpr int64_t bytes() const { return blocks() * block_bytes(); }

  constexpr int64_t offset(int64_t token, int64_t column, bool outlier) const {
    const int64_t block = column / kDenseColumns + (outlier ? blocks4() : 0);
    return block * block_bytes() + token / kAtomTokens * kAtomBytes +
           DenseAtomOffset(token % kAtomTokens, column % kDenseColumns);
  }
};

/// Sizes and places of a packed dense weight. Plain data.
struct PackedDenseLayout {
  int64_t n = 0;
  int64_t k = 0;

  constexpr int64_t row_blocks() const { return (n + kBlockRows - 1) / kBlockRows; }
  constexpr int64_t blocks() const { return (k + kDenseColumns - 1) / kDenseColumns; }
  constexpr int64_t row_block_bytes() const { return SpreadBytes(blocks() * kDenseBlockBytes); }
  constexpr int64_t bytes() const { return row_blocks() * row_block_bytes(); }

  constexpr int64_t offset(int64_t row, int64_t column) const {
    return row / kBlockRows * row_block_bytes() + column / kDenseColumns * kDenseBlockBytes +
           row % kBlockRows / 8 * 1024 + DenseAtomOffset(row % 8, column % kDenseColumns);
  }
};

/// values [M][K4 + K8], outliers last, 16-bit each; padding becomes 0. REQUIRES: to has
/// layout.bytes() / 2 elements.
void PackDenseActivation(const PackedDenseActivationLayout& layout,
                         std::span<const uint16_t> values, std::span<uint16_t> to);
/// values [N][K].
void PackDense(const PackedDenseLayout& layout, std::span<const uint16_t> values,
               std::span<uint16_t> to);
/// What PackDense was given.
void UnpackDense(const PackedDenseLayout& layout, std::span<const uint16_t> from,
                 std::span<uint16_t> values);

}  // namespace atom::kernels::cuda
