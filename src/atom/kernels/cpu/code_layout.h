// How the cpu backend lays out the codes of others (quant/code_matrix.h): panels of 32 outputs,
// each first all of its codes, in the order of the inputs, then what turns them into values:
//
//   panel p = outputs 32 p … 32 p + 31:
//     ⌈K/4⌉ lines of codes (4 bits), or twice as many (8 bits)
//     per group     scales      32 fp16, or 32 fp32 where `wide_scales`
//                   shifts      32 fp16, unless the kind is kCentered
//
//   4-bit line   dword i: output i and i + 16 at inputs 4 d + j, from the bits of NibbleBit on
//   8-bit line   byte 4 i + j: output i, in the line behind it i + 16
//
// Codes are apart from scales because g_idx may scatter the inputs of a group. Outputs beyond N
// have code and scale 0. Plain data: the kernels of every instruction set read it.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/packed_layout.h"

namespace atom::kernels::cpu {

/// Where input j (0 … 3) of outputs 16 v … is in a dword. With the dword itself, shifted down by 12
/// and up by 8, the nibbles of either vector are in two places of bits 8 … 19, where they can be
/// the mantissa of a float (CodeField in vec_avx512.h).
[[gnu::always_inline]] constexpr int NibbleBit(int v, int64_t j) {
  constexpr int kBits[2][4] = {{8, 20, 0, 12}, {24, 4, 16, 28}};
  return kBits[v][j];
}

/// What becomes of a code c and of its group's scale s and shift t; m is 2^(bits - 1).
enum class CodeKind {
  kCentered,   ///< s · (c − m), scales of fp16
  kZeros,      ///< s · (c − m − t)
  kOffsets,    ///< s · c + t
  kZerosHalf,  ///< s · (c − m − t), rounded to fp16
  kZerosBf16,  ///< the same, rounded to bf16
};
inline constexpr int kCodeKinds = 5;

struct CodeLayout {
  CodeKind kind = CodeKind::kCentered;
  int bits = 4;
  int64_t n = 0;
  int64_t k = 0;
  int64_t group = 0;
  bool wide_scales = false;
  int64_t scale_bytes = 0;  ///< of a group
  int64_t group_bytes = 0;  ///< scales and shifts
  int64_t code_bytes = 0;   ///< of all lines
  int64_t panel_bytes = 0;
  int64_t panels = 0;
};

}  // namespace atom::kernels::cpu
