// How the CUDA backend lays out the quantized input of a linear, X[M][K] in one byte a value: atoms
// of 8 tokens × 128 columns, already in the 128-byte swizzle that wgmma reads, so that any multiple
// of 8 tokens of a K block is one plain bulk copy.
//
//   K blocks          | low-bit 0 | low-bit 1 | … | outliers 0 | …      128 columns each, padded by
//   0 a K block         | tokens 0-7 | tokens 8-15 | …                    ceil(M/8) atoms of 1,024
//   B an atom           row r (token % 8) of 128 B; its 16-byte chunk c lies at chunk c ^ r
//
// Values are int8: code × multiplier with integer group scales, else the code. Beside them:
//
//   TokenScales [M8]             16 B a token, M8 = M rounded up to 8
//   group scales [K4/G][M8] fp32 recipes whose activation groups have a scale of their own
//
// Tokens between M and M8 may hold anything: they reach no output. Both the quantizers, which write
// this, and the GEMMs, which read it, take it from here; constexpr functions run on host and
// device.
#pragma once

#include <cstdint>
#include <span>

#include "atom/kernels/cuda/gemm/packed_weight.h"

namespace atom::kernels::cuda {

inline constexpr int64_t kAtomTokens = 8;
inline constexpr int64_t kAtomBytes = kAtomTokens * kBlockColumns;

/// One token's part of the scales. `sum` is the sum of its int8 values over the low-bit columns:
/// the kernel's weights carry a bias of 128 (packed_weight.h), which 128 · sum takes away again.
struct alignas(16) TokenScales {
  float scale = 0;          ///< low-bit columns; unused where groups have their own
  float outlier_scale = 0;  ///< outlier columns; all columns with 8-bit weights
  int32_t sum = 0;
  int32_t unused = 0;
};

/// Sizes and places of a packed activation of m tokens. Plain data.
struct PackedActivationLayout {
  int64_t m = 0;
  int64_t k4 = 0;  ///< columns that meet 4-bit weights
  int64_t k8 = 0;  ///< outlier columns

  constexpr int64_t token_atoms() const { return (m + kAtomTokens - 1) / kAtomTokens; }
  constexpr int64_t padded_tokens() const { return token_atoms() * kAtomTokens; }
  constexpr int64_t blocks4() const { return (k4 + kBlockColumns - 1) / kBlockColumns; }
  constexpr int64_t blocks8() const { return (k8 + kBlockColumns - 1) / kBlockColumns; }
  constexpr int64_t block_bytes() const { return token_atoms() * kAtomBytes; }
  constexpr int64_t bytes() const { return (blocks4() + blocks8()) * block_bytes(); }

  /// Byte of (token, column), column counted from the start of the low-bit columns or, with
  /// `outlier`, of the outliers.
  constexpr int64_t offset(int64_t token, int64_t column, bool outlier) const {
    const int64_t block = column / kBlockColumns + (outlier ? blocks4() : 0);
    const int64_t row = token % kAtomTokens;
    const int64_t chunk = (column % kBlockColumns / 16) ^ row;
    return block * block_bytes() + token / kAtomTokens * kAtomBytes + row * kBlockColumns +
           chunk * 16 + column % 16;
  }
};

/// values [M][K4 + K8], outliers last; padding columns become 0. REQUIRES: to has layout.bytes().
void PackActivation(const PackedActivationLayout& layout, std::span<const int8_t> values,
                    std::span<int8_t> to);
void UnpackActivation(const PackedActivationLayout& layout, std::span<const int8_t> from,
                      std::span<int8_t> values);

}  // namespace atom::kernels::cuda
