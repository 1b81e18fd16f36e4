// A thread's part of a weight block, from shared memory to the registers of a wgmma A operand; the
// layouts are drawn in packed_weight.h.
//
//   one 4-byte word w of codes           byte 3        byte 2        byte 1        byte 0
//                                      hi3 | lo3     hi2 | lo2     hi1 | lo1     hi0 | lo0
//   w & 0x0f0f0f0f                      0  | lo3      0  | lo2      0  | lo1      0  | lo0
//   · k + (128 - 8k) in each byte      lo3·k+128-8k  …                            lo0·k+128-8k
//
// lo = code + 8 in 0 … 15, so lo·k + 128 - 8k = code·k + 128 lies in 8 … 233: no byte carries into
// the next. The operand is unsigned, its bias of 128 leaves 128 · Σ x in every sum.
#pragma once

#include <cstdint>

namespace atom::kernels::cuda {

__device__ __forceinline__ uint4 LoadShared16(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}
__device__ __forceinline__ float2 LoadShared8(uint32_t address) {
  float2 v;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(address) : "memory");
  return v;
}
__device__ __forceinline__ uint32_t LoadShared4(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}

__device__ __forceinline__ void StoreShared4(uint32_t address, uint32_t v) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(address), "r"(v) : "memory");
}

/// A thread's words of a 4-bit block: codes of 4 steps, and the scales of its two rows.
struct BlockWords {
  uint32_t codes[8];
  uint32_t scales;
};

/// `thread`: 0 … 127, in its warpgroup.
__device__ __forceinline__ BlockWords LoadBlockWords(uint32_t block, int thread) {
  const uint4 v0 = LoadShared16(block + thread * 16);
  const uint4 v1 = LoadShared16(block + 2048 + thread * 16);
  return {{v0.x, v0.y, v0.z, v0.w, v1.x, v1.y, v1.z, v1.w},
          LoadShared4(block + 4096 + thread / 4 * 4)};
}

/// Code times multiplier, biased by 128, of step `step`.
__device__ __forceinline__ void UnpackInteger(const BlockWords& words, int step, uint32_t (&a)[4]) {
  const uint32_t k0 = (words.scales >> (4 * step)) & 15;
  const uint32_t k1 = (words.scales >> (16 + 4 * step)) & 15;
  const uint32_t bias0 = 0x80808080u - 0x08080808u * k0;
  const uint32_t bias1 = 0x80808080u - 0x08080808u * k1;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const uint32_t w = words.codes[2 * step + h];
    a[2 * h] = (w & 0x0f0f0f0fu) * k0 + bias0;
    a[2 * h + 1] = ((w >> 4) & 0x0f0f0f0fu) * k1 + bias1;
  }
}

/// 16 times the code of step `step`: two's complement nibbles in the upper halves of bytes.
__device__ __forceinline__ void UnpackTimes16(const BlockWords& words, int step, uint32_t (&a)[4]) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const uint32_t w = words.codes[2 * step + h];
    a[2 * h] = (w << 4) & 0xf0f0f0f0u;
    a[2 * h + 1] = w & 0xf0f0f0f0u;
  }
}

/// An 8-bit step.
__device__ __forceinline__ void LoadStep8(uint32_t step, int thread, uint32_t (&a)[4]) {
  const uint4 v = LoadShared16(step + thread * 16);
  a[0] = v.x;
  a[1] = v.y;
  a[2] = v.z;
  a[3] = v.w;
}

}  // namespace atom::kernels::cuda
