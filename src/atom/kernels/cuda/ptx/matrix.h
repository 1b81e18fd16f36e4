// 8 × 8 matrices of 16-bit elements between registers and shared memory: ldmatrix and stmatrix.
// PTX ISA 9.7.14.5.15 and .16.
//
// Row r of matrix i lies at the address that lane 8 i + r gives: 16 bytes. Lane l holds of each
// matrix the elements (l/4, 2 (l%4)) and (l/4, 2 (l%4) + 1), the first in the low half; with Trans
// it holds (2 (l%4), l/4) and (2 (l%4) + 1, l/4).
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::ptx {

__device__ __forceinline__ void LdMatrix4(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void LdMatrix4Trans(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void StMatrix4(uint32_t address, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}

__device__ __forceinline__ void StMatrix4Trans(uint32_t address, const uint32_t (&r)[4]) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
      "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
      : "memory");
}

/// Transposes an 8 × 8 matrix held by the warp. PTX ISA 9.7.14.5.17 "movmatrix".
__device__ __forceinline__ uint32_t MovMatrixTrans(uint32_t r) {
  uint32_t out;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(r));
  return out;
}

}  // namespace atom::kernels::cuda::ptx
