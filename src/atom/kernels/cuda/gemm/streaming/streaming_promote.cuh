// From the sums of a group to the running fp32 sums.
#pragma once

#include <type_traits>

#include "atom/kernels/cuda/gemm/streaming/streaming_products.cuh"

namespace atom::kernels::cuda {

/// Sums of a group and their promotion.
template <StreamShape kShape>
struct GroupSum {
  static constexpr bool kInteger = kShape.recipe == GemmRecipe::kGroup;
  using Type = std::conditional_t<kInteger, int32_t, float>;

  /// sum = fma(group sum, scale of row (× scale of token), sum)
  template <int kTokenStride, int kCount>
  static __device__ __forceinline__ void Promote(float* sum, const Type (&group)[kCount],
                                                 float row_scale0, float row_scale1,
                                                 uint32_t token_scales) {
#pragma unroll
    for (int j = 0; j < kCount / 4; ++j) {
      float2 token = make_float2(1.0f, 1.0f);
      if constexpr (kInteger) token = LoadToken<kTokenStride>(token_scales, j);
      AddFour(&sum[4 * j], &group[4 * j], row_scale0, row_scale1, token);
    }
  }

  /// The same in two steps.
  template <int kTokens>
  static __device__ __forceinline__ void LoadTokens(uint32_t token_scales,
                                                    float2 (&tokens)[kTokens]) {
#pragma unroll
    for (int j = 0; j < kTokens; ++j) tokens[j] = LoadToken<4>(token_scales, j);
  }
  template <int kCount>
  static __device__ __forceinline__ void Add(float* sum, const Type (&group)[kCount],
                                             float row_scale0, float row_scale1,
                                             const float2 (&tokens)[kCount / 4]) {
#pragma unroll
    for (int j = 0; j < kCount / 4; ++j) {
      AddFour(&sum[4 * j], &group[4 * j], row_scale0, row_scale1, tokens[j]);
    }
  }

 private:
  /// Scales of the `j`-th pair of tokens that this thread has.
  template <int kTokenStride>
  static __device__ __forceinline__ float2 LoadToken(uint32_t token_scales, int j) {
    if constexpr (kTokenStride == 4) return LoadSharedFloat2(token_scales + 32 * j);
    return make_float2(__uint_as_float(LoadShared4(token_scales + 8 * j * kTokenStride)),
                       __uint_as_float(LoadShared4(token_scales + (8 * j + 1) * kTokenStride)));
  }
  static __device__ __forceinline__ void AddFour(float* sum, const Type* group, float row_scale0,
                                                 float row_scale1, float2 token) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float row_scale = i < 2 ? row_scale0 : row_scale1;
      const float scale =
          kInteger ? __fmul_rn(i % 2 == 0 ? token.x : token.y, row_scale) : row_scale;
      sum[i] = __fmaf_rn(static_cast<float>(group[i]), scale, sum[i]);
    }
  }
};

/// The fp16 scales of this thread's two rows behind a 4-bit block: those of its `group`-th group.
__device__ __forceinline__ float2 GroupScalesOf(uint32_t block, int group, int thread) {
  const uint32_t pair = LoadShared4(block + kBlockCodeBytes + group * kScaleBytes +
                                    (thread / 32 * 8 + thread % 32 / 4) * 4);
  return __half22float2(*reinterpret_cast<const __half2*>(&pair));
}

}  // namespace atom::kernels::cuda
