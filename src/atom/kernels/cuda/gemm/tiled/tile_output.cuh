// From a warpgroup's values to Y. A slice is 64 outputs × 64 tokens; thread (warp w, lane l) holds
// of it, for j = 0 … 7, the outputs 16 w + l/4 and + 8 of tokens 8 j + 2 (l%4) and + 1: four
// values. They go through shared memory, so that rows of Y are written in whole lines:
//
//   16-bit, to the copy engine: 64 rows (tokens) of 128 B; 16-byte chunk c (8 outputs) of row t at
//                               c ^ (t%8); a tensor store clips at the edges of Y
//   all else, fp32:             64 rows of 256 B; word c of row t at c ^ 8 (t/2%4); read back row
//                               by row, added to Y or not, rounded, stored by the threads
#pragma once

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "atom/kernels/cuda/gemm/fragments.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_context.cuh"
#include "atom/kernels/cuda/ptx/bulk_copy.h"
#include "atom/kernels/cuda/ptx/matrix.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {

/// a in the low half.
__device__ __forceinline__ uint32_t Pack16(GemmOutput output, float a, float b) {
  if (output == GemmOutput::kBFloat16) {
    const __nv_bfloat162 v = __floats2bfloat162_rn(a, b);
    return reinterpret_cast<const uint32_t&>(v);
  }
  const __half2 v = __floats2half2_rn(a, b);
  return reinterpret_cast<const uint32_t&>(v);
}

__device__ __forceinline__ float ToFloat(float v) { return v; }
__device__ __forceinline__ float ToFloat(__half v) { return __half2float(v); }
__device__ __forceinline__ float ToFloat(__nv_bfloat16 v) { return __bfloat162float(v); }
__device__ __forceinline__ void Round(float v, float* to) { *to = v; }
__device__ __forceinline__ void Round(float v, __half* to) { *to = __float2half_rn(v); }
__device__ __forceinline__ void Round(float v, __nv_bfloat16* to) { *to = __float2bfloat16_rn(v); }

/// Writes slices of one warpgroup.
class SliceWriter {
 public:
  static constexpr int kValues = kSliceTokens / 2;  ///< of a thread

  __device__ SliceWriter(const TileParams& params, const TileBuffers& buffers, int warpgroup,
                         int thread)
      : params_(params), buffers_(buffers), warpgroup_(warpgroup), thread_(thread) {}

  /// v[4 j + i]: i = 0, 1 the first output of tokens 2 (l%4), + 1; i = 2, 3 the second.
  __device__ __forceinline__ void Write(const Tile& tile, int slice, const float (&v)[kValues]) {
    if (params_.tensor_store) {
      WriteStaged(tile, slice, v);
      return;
    }
    WriteRows(tile, slice, v);
  }

  /// Before the CTA ends: the copy engine has read all staging buffers.
  __device__ void Finish() {
    if (thread_ == 0) ptx::BulkWaitRead<0>();
  }

 private:
  __device__ __forceinline__ void WriteStaged(const Tile& tile, int slice,
                                              const float (&v)[kValues]) {
    const uint32_t buffer = buffers_.Staging(warpgroup_, next_buffer_);
    next_buffer_ ^= 1;
    const uint32_t barrier = 1 + warpgroup_;
    if (thread_ == 0) ptx::BulkWaitRead<kStagingBuffers - 1>();
    ptx::BarrierSync(barrier, 128);
    const int lane = thread_ % 32;
    // Matrices 0 to 3 of a store: both halves of the outputs for 8 tokens, then for the next 8.
    const int token = lane / 16 * 8 + lane % 8;
    const int chunk = thread_ / 32 * 2 + lane / 8 % 2;
    const uint32_t address = buffer + token * 128 + ((chunk ^ (lane % 8)) * 16);
#pragma unroll
    for (int j = 0; j < kSliceTokens / 8; j += 2) {
      uint32_t r[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        r[i] = Pack16(params_.output, v[4 * j + 2 * i], v[4 * j + 2 * i + 1]);
      }
      ptx::StMatrix4Trans(address + j * 8 * 128, r);
    }
    ptx::FenceProxyAsync();
    ptx::BarrierSync(barrier, 128);
    if (thread_ == 0) {
      const int x = (tile.row_block + warpgroup_) * 64;
      const int y = tile.first_token + slice * kSliceTokens;
      if (x < params_.segments[tile.segment].n && y < tile.end_token) {
        ptx::TensorStore2D(&params_.maps[tile.segment], buffer, x, y);
      }
      ptx::BulkCommit();
    }
  }

  __device__ __forceinline__ void WriteRows(const Tile& tile, int slice,
                                            const float (&v)[kValues]) {
    const uint32_t buffer = buffers_.Staging(warpgroup_, 0);
    const uint32_t barrier = 1 + warpgroup_;
    ptx::BarrierSync(barrier, 128);  // the slice before has been read
    const int lane = thread_ % 32;
    const int word = (thread_ / 32 * 16 + lane / 4) ^ (lane % 4 * 8);
    const uint32_t to = buffer + lane % 4 * 512 + word * 4;
#pragma unroll
    for (int i = 0; i < kValues; ++i) {
      StoreShared4((to ^ (i / 2 % 2 * 32)) + (i / 4 * 8 + i % 2) * 256, __float_as_uint(v[i]));
    }
    ptx::BarrierSync(barrier, 128);
    switch (params_.output) {
      case GemmOutput::kHalf:
        return StoreRows<__half>(tile, slice, buffer);
      case GemmOutput::kBFloat16:
        return StoreRows<__nv_bfloat16>(tile, slice, buffer);
      case GemmOutput::kFloat:
        return StoreRows<float>(tile, slice, buffer);
    }
  }

  // 16 threads a row, four outputs each.
  template <class T>
  __device__ __forceinline__ void StoreRows(const Tile& tile, int slice, uint32_t buffer) const {
    const TileSegment& segment = params_.segments[tile.segment];
    const int first = (tile.row_block + warpgroup_) * 64 + thread_ % 16 * 4;
    const int outputs = segment.n - first;
#pragma unroll 1
    for (int t = thread_ / 16; t < kSliceTokens; t += 8) {
      const int token = tile.first_token + slice * kSliceTokens + t;
      if (token >= tile.end_token || outputs <= 0) return;
      const uint4 raw = LoadShared16(buffer + t * 256 + ((thread_ % 16 * 4) ^ (t / 2 % 4 * 8)) * 4);
      float v[4] = {__uint_as_float(raw.x), __uint_as_float(raw.y), __uint_as_float(raw.z),
                    __uint_as_float(raw.w)};
      const int64_t y_row = params_.y_rows == nullptr ? token : params_.y_rows[token];
      T* y = static_cast<T*>(params_.y) + y_row * params_.y_stride + segment.column + first;
      if (params_.aligned && outputs >= 4) {
        struct alignas(4 * sizeof(T)) Four {
          T v[4];
        };
        Four four;
        if (params_.add) {
          four = *reinterpret_cast<const Four*>(y);
          for (int i = 0; i < 4; ++i) v[i] = __fadd_rn(ToFloat(four.v[i]), v[i]);
        }
        for (int i = 0; i < 4; ++i) Round(v[i], &four.v[i]);
        *reinterpret_cast<Four*>(y) = four;
      } else {
        for (int i = 0; i < 4; ++i) {
          if (i < outputs) Round(params_.add ? __fadd_rn(ToFloat(y[i]), v[i]) : v[i], &y[i]);
        }
      }
    }
  }

  const TileParams& params_;
  const TileBuffers& buffers_;
  int warpgroup_;
  int thread_;
  int next_buffer_ = 0;
};

}  // namespace atom::kernels::cuda
