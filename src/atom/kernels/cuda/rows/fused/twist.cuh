// Register i of a thread holds column i ^ twist of its columns. Threads whose columns begin at a
// multiple of 128 bytes from each other would gather from the same banks; with four twists they do
// not, as a twist names another word of 16 bytes.
//
//   fp32     twist 0 … 3    of 4 words of a vector
//   16 bits  twist 0, 2, 4, 6
//
// The Hadamard transform of twisted columns is that of the columns, in order, but for signs: where
// a stage meets a and b in each other's place, a + b is the same and a − b is negated. They are
// taken back by the transform's norm, for which the 4 twists need 4 values. Columns that are not
// transformed are untwisted in their codes.
#pragma once

#include "atom/kernels/cuda/rows/row_type.h"

namespace atom::kernels::cuda::fused {

template <RowType kType>
struct Twist {
  static constexpr int kShift = kType == RowType::kF32 ? 0 : 1;
  uint32_t turn;  ///< 0 … 3

  /// Of the thread that has column `column`.
  template <int kColumns>
  static __device__ __forceinline__ Twist Of(uint32_t column) {
    return {column / (8 * kColumns) % 4};
  }

  __device__ __forceinline__ uint32_t RegisterOf(uint32_t column) const {
    return column ^ turn << kShift;
  }

  /// `norm` with the sign of registers i with i >> kShift & 3 = j.
  __device__ __forceinline__ float Norm(float norm, uint32_t j) const {
    return __popc(turn & j) % 2 != 0 ? -norm : norm;
  }

  /// Bytes of 16 registers, in the order of columns.
  __device__ __forceinline__ void Untwist(uint32_t (&words)[4]) const {
    const uint32_t selector = 0x3210u ^ (kShift == 0 ? turn * 0x1111u : turn % 2 * 0x2222u);
#pragma unroll
    for (uint32_t& word : words) word = __byte_perm(word, 0, selector);
    if (kShift == 1 && turn >= 2) {
      const uint32_t first = words[0], third = words[2];
      words[0] = words[1], words[1] = first;
      words[2] = words[3], words[3] = third;
    }
  }
};

}  // namespace atom::kernels::cuda::fused
