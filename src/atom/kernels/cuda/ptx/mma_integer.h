// mma.sync on 4- and 8-bit integers: a warp multiplies a 16 × k by a k × 8 matrix, sums in int32.
// PTX ISA 9.7.14.5.10 "mma.m16n8k32" (8 bits), 9.7.14.5.12 "mma.m16n8k64" (4 bits).
//
// Both read 32 bytes of each row of A and column of B, low nibble first. Lane 4 g + t holds
//   a  bytes 4t … 4t+3 of (row g) (row g + 8), then bytes 16 + 4t … of (row g) (row g + 8)
//   b  bytes 4t … 4t+3, then bytes 16 + 4t … of column g
//   c  (row g, columns 2t, 2t + 1) (row g + 8, the same)
// so that ldmatrix fills both alike.
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::ptx {

/// c += a · b of two's complement nibbles. Native on sm_80, sm_86, sm_89; emulated from sm_90 on.
__device__ __forceinline__ void MmaS4(int (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                      uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// c += a · b of int8.
__device__ __forceinline__ void MmaS8(int (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                      uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace atom::kernels::cuda::ptx
