// Values of rows between operations, whose type is known at run time only.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "atom/kernels/cuda/rows/row_type.h"

namespace atom::kernels::cuda {

__device__ __forceinline__ const void* RowAt(const Rows& rows, int64_t row, int64_t column) {
  return static_cast<const char*>(rows.data) +
         (row * rows.stride + column) * RowTypeBytes(rows.type);
}
__device__ __forceinline__ void* MutableRowAt(const Rows& rows, int64_t row, int64_t column) {
  return static_cast<char*>(rows.data) + (row * rows.stride + column) * RowTypeBytes(rows.type);
}

/// Elements i and i + 1 of a row; i is even.
__device__ __forceinline__ float2 LoadPair(const void* row, RowType type, int64_t i) {
  switch (type) {
    case RowType::kF16:
      return __half22float2(static_cast<const __half2*>(row)[i / 2]);
    case RowType::kBF16:
      return __bfloat1622float2(static_cast<const __nv_bfloat162*>(row)[i / 2]);
    default:
      return static_cast<const float2*>(row)[i / 2];
  }
}

__device__ __forceinline__ float LoadValue(const void* row, RowType type, int64_t i) {
  switch (type) {
    case RowType::kF16:
      return __half2float(static_cast<const __half*>(row)[i]);
    case RowType::kBF16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(row)[i]);
    default:
      return static_cast<const float*>(row)[i];
  }
}

__device__ __forceinline__ void StoreValue(void* row, RowType type, int64_t i, float value) {
  switch (type) {
    case RowType::kF16:
      static_cast<__half*>(row)[i] = __float2half_rn(value);
      break;
    case RowType::kBF16:
      static_cast<__nv_bfloat16*>(row)[i] = __float2bfloat16_rn(value);
      break;
    default:
      static_cast<float*>(row)[i] = value;
  }
}

/// Elements i and i + 1; i is even.
__device__ __forceinline__ void StorePair(void* row, RowType type, int64_t i, float2 values) {
  switch (type) {
    case RowType::kF16:
      static_cast<__half2*>(row)[i / 2] = __floats2half2_rn(values.x, values.y);
      break;
    case RowType::kBF16:
      static_cast<__nv_bfloat162*>(row)[i / 2] = __floats2bfloat162_rn(values.x, values.y);
      break;
    default:
      static_cast<float2*>(row)[i / 2] = values;
  }
}

}  // namespace atom::kernels::cuda
