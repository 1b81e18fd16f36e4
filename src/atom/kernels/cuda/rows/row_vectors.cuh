// 16-byte vectors of rows, whose type is known at compile time.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "atom/kernels/cuda/rows/row_type.h"

namespace atom::kernels::cuda {

/// Values of a vector.
constexpr int PerVector(RowType type) { return 16 / RowTypeBytes(type); }

template <RowType kType>
__device__ __forceinline__ void WidenVector(const uint4& words, float* values) {
  const uint32_t parts[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (kType == RowType::kF32) {
      values[i] = __uint_as_float(parts[i]);
    } else if constexpr (kType == RowType::kBF16) {
      values[2 * i] = __uint_as_float(parts[i] << 16);
      values[2 * i + 1] = __uint_as_float(parts[i] & 0xFFFF0000u);
    } else {
      const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&parts[i]));
      values[2 * i] = pair.x, values[2 * i + 1] = pair.y;
    }
  }
}

/// Rounded once.
template <RowType kType>
__device__ __forceinline__ uint4 NarrowVector(const float* values) {
  uint32_t parts[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (kType == RowType::kF32) {
      parts[i] = __float_as_uint(values[i]);
    } else if constexpr (kType == RowType::kBF16) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
      parts[i] = *reinterpret_cast<const uint32_t*>(&pair);
    } else {
      const __half2 pair = __floats2half2_rn(values[2 * i], values[2 * i + 1]);
      parts[i] = *reinterpret_cast<const uint32_t*>(&pair);
    }
  }
  return {parts[0], parts[1], parts[2], parts[3]};
}

}  // namespace atom::kernels::cuda
