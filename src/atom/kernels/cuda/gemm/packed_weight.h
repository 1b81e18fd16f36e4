// How the CUDA backend lays out an integer weight W[N][K]: blocks in which every thread of a
// warpgroup finds its part of a wgmma A operand in one or two 16-byte words.
//
// Rows (outputs) fall into row blocks of 64, the low-bit columns into K blocks of 128; a row block
// is one contiguous stream:
//
//   row block   | 4-bit block 0 | 4-bit block 1 | … | 8-bit step 0 | 8-bit step 1 | …
//                 128 columns      128                 32 outlier columns each
//
//   4-bit block, 4,096 B of codes, then scales (G = 128: 4,224 B)
//     codes    [2][128 threads][16 B]  word j = 4-byte words (step 2j, half 0), (2j, 1), (2j+1, 0),
//                                      (2j+1, 1); byte b of word (s, h) of thread t = 32 w + l:
//                                        low nibble    row 16 w + l/4
//                                        high nibble   row 16 w + l/4 + 8
//                                        column        32 s + 16 h + 4 (l%4) + b
//     scales, integer multipliers: 128 B
//              [4 warps w][8 lanes q][4 B]   bits 4 s … 4 s + 3: row 16 w + q, step s of 32 columns
//                                            bits 16 + 4 s …   : row 16 w + q + 8
//     scales, fp16: 128 B a group of the block (G ≥ 128: one; 64: two; 32: four)
//              [groups][4 warps w][8 lanes q][2 × fp16]   rows 16 w + q and 16 w + q + 8
//
//   8-bit step, 2,048 B
//     codes    [128 threads][16 B]     byte b of 4-byte word i of thread 32 w + l:
//                                        row 16 w + l/4 + 8 (i%2), column 4 (l%4) + b + 16 (i/2)
//
// Nibbles hold code + 8 beside integer multipliers k (the kernel forms (code + 8)·k + 128 - 8k as
// an unsigned byte, without carries), and two's complement beside fp16 scales (nibble << 4 is
// 16·code). Rows beyond N have code 0 and multiplier 1 or scale 0, columns beyond K4 or K8 have
// code 0. Scales of whole rows are plain fp32 arrays, see gemm_desc.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "atom/core/half.h"

namespace atom::kernels::cuda {

inline constexpr int64_t kBlockRows = 64;      ///< outputs of a row block
inline constexpr int64_t kBlockColumns = 128;  ///< columns of a K block
inline constexpr int64_t kStepColumns = 32;    ///< columns of one 8-bit wgmma
inline constexpr int64_t kBlockCodeBytes = kBlockRows * kBlockColumns / 2;
inline constexpr int64_t kScaleBytes = 128;  ///< multipliers of a block, or fp16 scales of a group
inline constexpr int64_t kStep8Bytes = kBlockRows * kStepColumns;

/// What row blocks of 8- and 16-bit weights are apart: their bytes, and a K block more where that
/// is a multiple of 5 K blocks. CTAs go through K side by side; in row blocks so far apart they
/// would read from one of a card's five stacks of memory at a time.
constexpr int64_t SpreadBytes(int64_t row_block_bytes) {
  constexpr int64_t kBytes = 8192;  // a K block
  return row_block_bytes % (5 * kBytes) == 0 ? row_block_bytes + kBytes : row_block_bytes;
}

/// What a group's scale is.
enum class GroupScale {
  kInteger,  ///< a multiplier 1 … 15 of the row's scale
  kHalf,     ///< fp16
};
std::string_view Name(GroupScale scale);  ///< "integer", "half"

/// Sizes and places of a packed weight. Plain data.
struct PackedWeightLayout {
  int64_t n = 0;
  int64_t k4 = 0;
  int64_t k8 = 0;
  int64_t group =
      0;  ///< columns that share a scale; a multiple of 32 that divides k4, 0: all of k4
  GroupScale scale = GroupScale::kInteger;

  constexpr int64_t row_blocks() const { return (n + kBlockRows - 1) / kBlockRows; }
  constexpr int64_t padded_rows() const { return row_blocks() * kBlockRows; }
  constexpr int64_t blocks4() const { return (k4 + kBlockColumns - 1) / kBlockColumns; }
  constexpr int64_t steps8() const { return (k8 + kStepColumns - 1) / kStepColumns; }
  /// Groups that have a scale of their own inside a 4-bit block of fp16 scales.
  constexpr int64_t groups_per_block() const {
    return group == 0 || group >= kBlockColumns ? 1 : kBlockColumns / group;
  }
  constexpr int64_t block4_bytes() const {
    return kBlockCodeBytes + kScaleBytes * (scale == GroupScale::kHalf ? groups_per_block() : 1);
  }
  constexpr int64_t row_block_bytes() const {
    const int64_t bytes = blocks4() * block4_bytes() + steps8() * kStep8Bytes;
    return k4 == 0 ? SpreadBytes(bytes) : bytes;
  }
  constexpr int64_t bytes() const { return row_blocks() * row_block_bytes(); }

  constexpr int64_t block4_offset(int64_t row_block, int64_t block) const {
    return row_block * row_block_bytes() + block * block4_bytes();
  }
  constexpr int64_t step8_offset(int64_t row_block, int64_t step) const {
    return row_block * row_block_bytes() + blocks4() * block4_bytes() + step * kStep8Bytes;
  }
};

/// Empty, or a sentence that says why this shape cannot be packed.
std::string WhyNotPacked(const PackedWeightLayout& layout);

/// Codes and group scales as artifacts have them (quant/quantized_matrix.h).
struct WeightCodes {
  std::span<const uint8_t> codes4;       ///< [N][K4/2], even column in the low nibble
  std::span<const uint8_t> multipliers;  ///< [K4/G][N], 1 … 15; kInteger
  std::span<const Half> scales4;         ///< [K4/G][N]; kHalf
  std::span<const int8_t> codes8;        ///< [N][K8]
};

/// The same, to be written.
struct MutableWeightCodes {
  std::span<uint8_t> codes4;
  std::span<uint8_t> multipliers;
  std::span<Half> scales4;
  std::span<int8_t> codes8;
};

/// REQUIRES: WhyNotPacked is empty, to.size() == layout.bytes(), spans of the sizes above.
void PackWeight(const PackedWeightLayout& layout, const WeightCodes& from, std::span<uint8_t> to);
/// What PackWeight was given, bit for bit.
void UnpackWeight(const PackedWeightLayout& layout, std::span<const uint8_t> from,
                  const MutableWeightCodes& to);

}  // namespace atom::kernels::cuda
