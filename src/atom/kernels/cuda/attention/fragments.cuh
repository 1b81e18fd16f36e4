// Fragments of cached keys and values in registers, and the steps of the softmax rule that decode
// and prefill share to the letter (docs/numerics.md, "Attention on CUDA").
#pragma once

#include <cuda_fp16.h>

#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/kernels/cuda/ptx/mma.h"

namespace atom::kernels::cuda {

/// Positions of a segment: the unit that is computed from nothing, and merged in ascending order.
inline constexpr int kSegmentPages = 16;
inline constexpr int kSegmentPositions = kSegmentPages * kPagePositions;

/// Pages of a step: the unit in which the reference maximum may move. Steps begin at even pages.
inline constexpr int kStepPages = 2;

/// The reference maximum moves only when a step exceeds it by more than this, in powers of two.
inline constexpr float kMaxSlack = 4.0f;
/// Below every score; finite, so that differences are.
inline constexpr float kNoScore = -1e30f;

/// The first page that a query reads in 16 bits (docs/numerics.md, "Exact window"); behind all
/// without a window.
__device__ __forceinline__ int FirstExactPage(int position, int exact_window) {
  if (exact_window == 0) return 1 << 26;  // its first position is still an int
  return max(0, position / kPagePositions - exact_window / kPagePositions);
}

/// Codes are used as code − kCentre, which fp16 holds exactly.
template <KvStorage kStorage>
inline constexpr float kCentre = kStorage == KvStorage::kInt4   ? 8.0f
                                 : kStorage == KvStorage::kInt8 ? 128.0f
                                                                : 0.0f;

__device__ __forceinline__ uint32_t Bits(__half2 x) { return *reinterpret_cast<uint32_t*>(&x); }
__device__ __forceinline__ __half2 AsHalf2(uint32_t x) { return *reinterpret_cast<__half2*>(&x); }

/// (word & mask) | 0x64006400 as one instruction, which two immediates would make two.
__device__ __forceinline__ uint32_t Embed(uint32_t word, uint32_t mask) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, 0x64006400, 0xEA;" : "=r"(out) : "r"(word), "r"(mask));
  return out;
}

/// Eight values of a lane: a0, second, third, fourth of kv_fragments.h.
template <KvStorage kStorage>
__device__ __forceinline__ void UnpackFragment(const uint32_t* words, uint32_t (&pairs)[4]) {
  if constexpr (kStorage == KvStorage::kInt4) {
    // 0x6400 is 1024 in fp16, whose last mantissa bit is 1: a nibble or-ed into it adds itself, and
    // four bits higher 16 times itself. Both differences are exact.
    const uint32_t low = words[0], high = words[0] >> 8;
    const __half2 minus_1032 = AsHalf2(0xE408E408u);
    const __half2 sixteenth = AsHalf2(0x2C002C00u), minus_72 = AsHalf2(0xD480D480u);
    pairs[0] = Bits(__hadd2(AsHalf2(Embed(low, 0x000F000Fu)), minus_1032));
    pairs[1] = Bits(__hfma2(AsHalf2(Embed(low, 0x00F000F0u)), sixteenth, minus_72));
    pairs[2] = Bits(__hadd2(AsHalf2(Embed(high, 0x000F000Fu)), minus_1032));
    pairs[3] = Bits(__hfma2(AsHalf2(Embed(high, 0x00F000F0u)), sixteenth, minus_72));
  } else if constexpr (kStorage == KvStorage::kInt8) {
    const __half2 minus_1152 = AsHalf2(0xE480E480u);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t widened = __byte_perm(words[i / 2], 0x64646464u, i % 2 ? 0x4342 : 0x4140);
      pairs[i] = Bits(__hadd2(AsHalf2(widened), minus_1152));
    }
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) pairs[i] = words[i];
  }
}

/// score · log2(e) of one key and query: acc = q · (code − centre), a and b as in KeyTerms.
__device__ __forceinline__ float Score(float acc, float a, float b, float q_sum) {
  return __fmaf_rn(acc, a, __fmul_rn(q_sum, b));
}

/// What of a key's scale and offset enters its score: scale · c and (offset + centre · scale) · c.
template <KvStorage kStorage>
struct KeyTerms {
  float a, b;
  __device__ __forceinline__ KeyTerms(__half2 scale_and_offset, float c) {
    const float2 pair = __half22float2(scale_and_offset);
    a = __fmul_rn(pair.x, c);
    b = __fmul_rn(__fmaf_rn(kCentre<kStorage>, pair.x, pair.y), c);
  }
};

/// cap · tanh((x + mean) / cap), all in units of log2(e); mean: q · mean of the keys.
__device__ __forceinline__ float Softcap(float x, float mean, float cap_log2e) {
  x = __fadd_rn(x, mean);
  const float e = ptx::Exp2(__fmul_rn(__fdividef(x, cap_log2e), 2.0f * 1.4426950408889634f));
  return __fmul_rn(cap_log2e, 1.0f - __fdividef(2.0f, __fadd_rn(e, 1.0f)));
}

/// Merge of a segment's (max, sums) into the state of those before it: the two factors, of which
/// one is 1.
struct MergeFactors {
  float max, old_factor, new_factor;
  __device__ __forceinline__ MergeFactors(float old_max, float new_max) {
    const bool raised = new_max > old_max;
    const float factor = ptx::Exp2(raised ? old_max - new_max : new_max - old_max);
    max = raised ? new_max : old_max;
    old_factor = raised ? factor : 1.0f;
    new_factor = raised ? 1.0f : factor;
  }
  __device__ __forceinline__ float operator()(float old_sum, float new_sum) const {
    return __fmaf_rn(new_sum, new_factor, __fmul_rn(old_sum, old_factor));
  }
};

/// The output from the sums of a row: Σ p (code − centre) s, Σ p, Σ p · offset, Σ p · s.
template <KvStorage kStorage>
struct Normalizer {
  float shift, inverse;
  __device__ __forceinline__ Normalizer(float sum, float sum_offset, float sum_scale) {
    shift = HasScales(kStorage) ? __fmaf_rn(kCentre<kStorage>, sum_scale, sum_offset) : 0.0f;
    inverse = __frcp_rn(sum);
  }
  __device__ __forceinline__ float operator()(float out) const {
    return __fmul_rn(__fadd_rn(out, shift), inverse);
  }
};

}  // namespace atom::kernels::cuda
