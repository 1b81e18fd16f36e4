// Scales and codes of one token's values, as docs/numerics.md, section 2, says, in the bytes that
// the GEMMs read: code × multiplier. What a thread does for a value is a product and a rounding,
// for two of them a packing and a clamp, for four a word:
//
//   fp32   x · 1/scale + 1.5·2^23   the code in the low bits, rounded to even
//   int16  two of them, clamped to [0, top] with the bias that makes the least code 0
//   bytes  u0 u1 u2 u3              four of them in a word, none of which overflows below:
//   word · multiplier + constant    every byte code · multiplier + 128; then 128 is taken away
#pragma once

#include <cstdint>
#include <cuda_fp16.h>

#include "atom/kernels/cuda/rows/rounded_division.cuh"

namespace atom::kernels::cuda {

/// The largest code and its reciprocal, rounded.
struct CodeRange {
  float steps, reciprocal;

  explicit constexpr CodeRange(int bits)
      : steps(bits == 4 ? 7.0f : 127.0f), reciprocal(bits == 4 ? 1.0f / 7.0f : 1.0f / 127.0f) {}
};

/// clamp(max(largest, 1e-5) · clip / steps, 2^-24, 65504). (Divide by 7 and
/// 127: all fractions were tried.)
__device__ __forceinline__ float ScaleOf(float largest, float clip, const CodeRange& range) {
  // Beyond 1e9 the scale is 65504 anyway, and infinity has no remainder.
  const float x = __fmul_rn(fminf(fmaxf(largest, 1e-5f), 1e9f), clip);
  return fminf(fmaxf(Divide(x, range.steps, range.reciprocal), 0x1p-24f), 65504.0f);
}

__device__ __forceinline__ float RoundToHalf(float x) { return __half2float(__float2half_rn(x)); }

/// How values of one scale become bytes.
struct Encoder {
  float inverse;
  uint32_t bias, top;  ///< codes are −bias … top − bias; both halves of a word alike
  uint32_t multiplier, constant;

  __device__ __forceinline__ Encoder(float scale, int bits, int times) {
    const uint32_t least = bits == 4 ? 8 : 128;
    inverse = ReciprocalOfNormal(scale);
    bias = least * 0x00010001u;
    top = (2 * least - 1) * 0x00010001u;
    multiplier = static_cast<uint32_t>(times);
    constant = 0x80808080u - least * multiplier * 0x01010101u;
  }

  /// REQUIRES: no NaN, |values| · inverse below 2^15 − 128.
  __device__ __forceinline__ uint32_t Word(const float* values) const {
    const uint32_t low = Pair(values), high = Pair(values + 2);
    return (__byte_perm(low, high, 0x6420) * multiplier + constant) ^ 0x80808080u;
  }

 private:
  __device__ __forceinline__ uint32_t Pair(const float* values) const {
    constexpr float kMagic = 12582912.0f;  // 1.5 · 2^23, bits 0x4B400000
    const float first = __fadd_rn(__fmul_rn(values[0], inverse), kMagic);
    const float second = __fadd_rn(__fmul_rn(values[1], inverse), kMagic);
    const uint32_t codes = __byte_perm(__float_as_uint(first), __float_as_uint(second), 0x5410);
    return __viaddmin_s16x2_relu(codes, bias, top);
  }
};

}  // namespace atom::kernels::cuda
