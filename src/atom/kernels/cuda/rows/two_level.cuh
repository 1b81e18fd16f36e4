// Two-level scales of one token (docs/numerics.md, section 2): the same bits as quant/two_level.h.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/rows/rounded_division.cuh"

namespace atom::kernels::cuda {

/// What a group asks for: max(largest, 1e-5) · clip / steps.
__device__ __forceinline__ float GroupStep(float largest, float clip, float steps) {
  const float step = __fdiv_rn(__fmul_rn(fmaxf(largest, 1e-5f), clip), steps);
  return fminf(fmaxf(step, 0x1p-24f), 65504.0f);
}

/// The token's scale: a fifteenth of what its largest group asks for, to 12 significant bits.
__device__ __forceinline__ float TwoLevelScale(float largest_step) {
  constexpr uint32_t kDropped = 0xFFFu;
  const uint32_t bits = __float_as_uint(Divide(largest_step, 15.0f, 1.0f / 15.0f));
  const uint32_t odd = (bits >> 12) & 1u;  // ties to even
  return __uint_as_float((bits + kDropped / 2 + odd) & ~kDropped);
}

/// Of a group: 1 … 15, as it is and as an integer.
struct TwoLevelMultiplier {
  float value;
  int times;

  __device__ __forceinline__ TwoLevelMultiplier(float step, float token_scale) {
    constexpr float kMagic = 12582912.0f;  // 1.5 · 2^23, bits 0x4B400000: rounds, ties to even
    const float quotient = Divide(step, token_scale, ReciprocalOfNormal(token_scale));
    const float sum = __fadd_rn(fminf(fmaxf(quotient, 1.0f), 15.0f), kMagic);
    value = __fsub_rn(sum, kMagic);
    times = __float_as_int(sum) - 0x4B400000;
  }
};

}  // namespace atom::kernels::cuda
