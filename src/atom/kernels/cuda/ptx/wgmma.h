// wgmma: matrix products of a whole warpgroup (4 warps), asynchronous. PTX ISA 9.7.15.
//
//   D[64][N] (+)= A[64][k] · B[k][N]     k: 32 for 8-bit operands, 16 for 16-bit
//
// B always comes from shared memory, A from registers or shared memory, D is in registers:
//
//   lane l of warp w holds of D, in d[4 j + i], i = 0 … 3, j = 0 … N/8 - 1:
//     row    16 w + l/4 + 8 (i/2)
//     column 8 j + 2 (l%4) + i%2
//   and of an 8-bit A, in bytes b = 0 … 3 of a[i]:
//     row    16 w + l/4 + 8 (i%2)
//     k      4 (l%4) + b + 16 (i/2)            (16-bit A: 2 (l%4) + half + 8 (i/2))
//
// Order: Fence, Issue…, Commit, Wait<pending>; between Issue and Wait the registers of D, and those
// of A, belong to the tensor core.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/ptx/wgmma_shapes.h"
#include "atom/kernels/cuda/ptx/wgmma_types.h"

namespace atom::kernels::cuda::ptx {

/// Before the first Issue and whenever registers of A or D were written by other instructions.
__device__ __forceinline__ void WgmmaFence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void WgmmaCommit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void WgmmaWait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// Tells the compiler that a register is used here, so that it moves no use of it across.
__device__ __forceinline__ void KeepRegister(int32_t& r) { asm volatile("" : "+r"(r)::"memory"); }
__device__ __forceinline__ void KeepRegister(uint32_t& r) { asm volatile("" : "+r"(r)::"memory"); }
__device__ __forceinline__ void KeepRegister(float& r) { asm volatile("" : "+f"(r)::"memory"); }

/// Descriptor of an operand in 128-byte-swizzled atoms of 8 rows × 128 bytes (1,024 bytes, aligned
/// to it), K along the 128 bytes, the atoms of further rows `stride` bytes apart. One k-step
/// further is 32 bytes: add 2. PTX ISA 9.7.15.5.1 "matrix descriptor".
__device__ __forceinline__ uint64_t Swizzle128Descriptor(uint32_t address, uint32_t stride = 1024) {
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) | (uint64_t{1} << 16) |
         (static_cast<uint64_t>(stride >> 4) << 32) | (uint64_t{1} << 62);
}

}  // namespace atom::kernels::cuda::ptx
