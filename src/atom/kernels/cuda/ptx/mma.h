// mma.sync: a warp multiplies a 16 × 16 by a 16 × 8 matrix of fp16 values, sums in fp32.
// PTX ISA 9.7.14.5.8 "mma.m16n8k16". Lane 4 g + t holds
//   a  (row g, k 2t, 2t+1) (row g + 8, the same) (row g, k 2t + 8, 2t + 9) (row g + 8, the same)
//   b  (k 2t, 2t + 1, column g) (k 2t + 8, 2t + 9, column g)
//   c  (row g, columns 2t, 2t + 1) (row g + 8, the same)
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::ptx {

/// c += a · b
__device__ __forceinline__ void MmaF16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                       uint32_t a3, uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/// 2^x; -infinity gives 0. PTX ISA 9.7.3.21 "ex2": relative error below 2^-22.
__device__ __forceinline__ float Exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace atom::kernels::cuda::ptx
