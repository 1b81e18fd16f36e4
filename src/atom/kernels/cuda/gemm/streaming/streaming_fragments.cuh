// From packed words to wgmma A operands: a chunk is four wgmma steps, 16 registers.
#pragma once

#include <cstdint>
#include <cuda_bf16.h>
#include <type_traits>

namespace atom::kernels::cuda {

/// a[s]: the A registers of step s.
using Chunk = uint32_t[4][4];

__device__ __forceinline__ uint4 LoadShared16(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}

__device__ __forceinline__ uint32_t LoadShared4(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}

__device__ __forceinline__ float2 LoadSharedFloat2(uint32_t address) {
  float2 v;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(address) : "memory");
  return v;
}

__device__ __forceinline__ void StoreShared16(uint32_t address, uint4 v) {
  asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(v.x), "r"(v.y),
               "r"(v.z), "r"(v.w)
               : "memory");
}

__device__ __forceinline__ uint32_t ToBits(float v) { return __float_as_uint(v); }
__device__ __forceinline__ uint32_t ToBits(int32_t v) { return static_cast<uint32_t>(v); }
template <class T>
__device__ __forceinline__ T FromBits(uint32_t bits) {
  if constexpr (std::is_same_v<T, float>) {
    return __uint_as_float(bits);
  } else {
    return static_cast<T>(bits);
  }
}

/// 128 - 8k in every byte. Not in C++: the compiler would move the 8 into every nibble.
__device__ __forceinline__ uint32_t MultiplierBias(uint32_t multiplier) {
  uint32_t bias;
  asm("mad.lo.u32 %0, %1, %2, %3;"
      : "=r"(bias)
      : "r"(multiplier), "r"(0u - 0x08080808u), "r"(0x80808080u));
  return bias;
}

/// Two words of a 4-bit block with integer multipliers → unsigned bytes
/// (code + 8)·k + 128 - 8k = code·k + 128: no byte carries into the next. `multipliers` as in
/// packed_weight.h: 4 bits a step, low half row r, high half row r + 8.
__device__ __forceinline__ void UnpackIntegerScales(uint4 word0, uint4 word1, uint32_t multipliers,
                                                    Chunk& a) {
  const uint32_t words[8] = {word0.x, word0.y, word0.z, word0.w,
                             word1.x, word1.y, word1.z, word1.w};
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    const uint32_t low = (multipliers >> (4 * s)) & 15;
    const uint32_t high = (multipliers >> (16 + 4 * s)) & 15;
    const uint32_t low_bias = MultiplierBias(low);
    const uint32_t high_bias = MultiplierBias(high);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const uint32_t w = words[2 * s + h];
      a[s][2 * h] = (w & 0x0f0f0f0fu) * low + low_bias;
      a[s][2 * h + 1] = ((w >> 4) & 0x0f0f0f0fu) * high + high_bias;
    }
  }
}

/// Two words of a 4-bit block in two's complement → bytes 16·code.
__device__ __forceinline__ void UnpackTimes16(uint4 word0, uint4 word1, Chunk& a) {
  const uint32_t words[8] = {word0.x, word0.y, word0.z, word0.w,
                             word1.x, word1.y, word1.z, word1.w};
#pragma unroll
  for (int s = 0; s < 4; ++s) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      a[s][2 * h] = (words[2 * s + h] << 4) & 0xf0f0f0f0u;
      a[s][2 * h + 1] = words[2 * s + h] & 0xf0f0f0f0u;
    }
  }
}

/// Nibbles at bits 0–3 and 16–19, in two's complement, as two bf16: 0x4300 is 128, whose last place
/// is 1, so that 128 + (code + 8) minus 136 is exact.
__device__ __forceinline__ uint32_t NibblesToBFloat16(uint32_t w) {
  // (w & 0x000f000f) ^ 0x43084308 in one instruction: with two immediates the compiler makes two.
  uint32_t biased;
  asm("lop3.b32 %0, %1, 0x000f000f, %2, 0x6a;" : "=r"(biased) : "r"(w), "r"(0x43084308u));
  uint32_t out;
  asm("sub.rn.bf16x2 %0, %1, %2;" : "=r"(out) : "r"(biased), "r"(0x43084308u));
  return out;
}

/// One word of a 4-bit block (64 columns) → bf16. Bytes 0 and 2 of a 4-byte word become the lower
/// pair of k positions, 1 and 3 the upper one; packed_activation16.h has the same order.
__device__ __forceinline__ void UnpackBFloat16(uint4 word, Chunk& a) {
  const uint32_t words[4] = {word.x, word.y, word.z, word.w};
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    a[s][0] = NibblesToBFloat16(words[s]);
    a[s][1] = NibblesToBFloat16(words[s] >> 4);
    a[s][2] = NibblesToBFloat16(words[s] >> 8);
    a[s][3] = NibblesToBFloat16(words[s] >> 12);
  }
}

/// Two of four int8 as bf16, exactly: bytes `kFirst` and `kFirst` + 2.
template <int kFirst>
__device__ __forceinline__ uint32_t BytesToBFloat16(uint32_t w) {
  // 2^23 + byte as fp32, then minus the bias of both.
  const uint32_t biased = w ^ 0x80808080u;
  const float low = __uint_as_float(__byte_perm(biased, 0x4b000000u, 0x7440 + kFirst)) - 8388736.0f;
  const float high =
      __uint_as_float(__byte_perm(biased, 0x4b000000u, 0x7442 + kFirst)) - 8388736.0f;
  uint32_t out;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
  return out;
}

/// One 8-bit step (32 columns) → two wgmma steps in bf16.
__device__ __forceinline__ void UnpackStep8(uint4 word, uint32_t (&a0)[4], uint32_t (&a1)[4]) {
  a0[0] = BytesToBFloat16<0>(word.x);
  a0[1] = BytesToBFloat16<0>(word.y);
  a0[2] = BytesToBFloat16<1>(word.x);
  a0[3] = BytesToBFloat16<1>(word.y);
  a1[0] = BytesToBFloat16<0>(word.z);
  a1[1] = BytesToBFloat16<0>(word.w);
  a1[2] = BytesToBFloat16<1>(word.z);
  a1[3] = BytesToBFloat16<1>(word.w);
}

}  // namespace atom::kernels::cuda
