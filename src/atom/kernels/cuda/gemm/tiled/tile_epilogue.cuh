// From a tile's sums to Y, slice by slice of 64 tokens: adds the outlier columns' part, whose INT32
// sums live for one slice only, and scales. The order of float operations is that of
// docs/numerics.md, section 3, and depends on nothing but K.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/fragments.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_output.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_warpgroup.cuh"

namespace atom::kernels::cuda {

template <class Config>
class TileEpilogue {
 public:
  static constexpr int kSums = Config::kTokens / 2;
  static constexpr int kSliceSums = kSliceTokens / 2;
  static constexpr int kSlices = Config::kTokens / kSliceTokens;

  __device__ explicit TileEpilogue(TileWarpgroup<Config>& wg)
      : wg_(wg), writer_(wg.params, wg.buffers, wg.index, wg.thread) {}

  template <class Sum>
  __device__ __forceinline__ void Run(const Tile& tile, Sum (&sums)[kSums]) {
    ptx::MbarrierWait(wg_.buffers.TileFull(), parity_);
    parity_ ^= 1;
    StageCursor at = wg_.cursor;
    for (int block = 0; block < outlier_blocks(); ++block) {
      ptx::MbarrierWait(wg_.buffers.Full(at.stage), at.parity);
      at.Next(wg_.buffers.stages);
    }
    const uint32_t rows =
        wg_.buffers.Rows() + (wg_.index * 64 + wg_.thread / 32 * 16 + wg_.thread % 32 / 4) * 16;
    const RowScales row0 = AsRow(LoadShared16(rows));
    const RowScales row1 = AsRow(LoadShared16(rows + 8 * 16));
#pragma unroll
    for (int slice = 0; slice < kSlices; ++slice) {
      int32_t outliers[kSliceSums];
      if (outlier_blocks() > 0) OutlierSums(slice, outliers);
      if (slice == kSlices - 1) {
        for (int block = 0; block < outlier_blocks(); ++block) {
          wg_.Release(wg_.cursor.stage);
          wg_.NextStage();
        }
      }
      float v[kSliceSums];
#pragma unroll
      for (int j = 0; j < kSliceTokens / 8; ++j) {
        const TokenScales t0 = TokenAt(slice * kSliceTokens + 8 * j);
        const TokenScales t1 = TokenAt(slice * kSliceTokens + 8 * j + 1);
        const Sum* s = &sums[slice * kSliceSums + 4 * j];
        v[4 * j + 0] = Value(s[0], outliers[4 * j + 0], t0, row0);
        v[4 * j + 1] = Value(s[1], outliers[4 * j + 1], t1, row0);
        v[4 * j + 2] = Value(s[2], outliers[4 * j + 2], t0, row1);
        v[4 * j + 3] = Value(s[3], outliers[4 * j + 3], t1, row1);
      }
      if (slice == kSlices - 1) {
        __syncwarp();
        if (wg_.thread % 32 == 0) ptx::MbarrierArrive(wg_.buffers.TileEmpty());
      }
      writer_.Write(tile, slice, v);
    }
  }

  /// Before the CTA ends.
  __device__ void Finish() { writer_.Finish(); }

 private:
  using Mma = ptx::Wgmma<ptx::MmaTypes::kS8S8, ptx::OperandA::kRegisters, kSliceTokens>;

  // INT32 sums of the outlier columns of one slice. All outlier stages are held until the last
  // slice. Where the last block ends early, x holds anything behind it, and is multiplied by 0.
  __device__ __forceinline__ void OutlierSums(int slice, int32_t (&sums)[kSliceSums]) {
    uint32_t weights = wg_.buffers.Outliers() +
                       wg_.index * wg_.params.outlier_blocks * 4 * static_cast<int>(kStep8Bytes);
    StageCursor at = wg_.cursor;
#pragma unroll 1
    for (int block = 0; block < outlier_blocks(); ++block) {
      const uint64_t x =
          ptx::Swizzle128Descriptor(wg_.buffers.X(at.stage) + slice * kSliceTokens * 128);
      uint32_t a[4][4];
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        LoadStep8(weights + step * static_cast<int>(kStep8Bytes), wg_.thread, a[step]);
        ClearUnless(4 * block + step < wg_.params.steps8, a[step]);
      }
      ptx::WgmmaFence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        Mma::Issue(sums, a[step], x + 2 * step, block > 0 || step > 0);
      }
      ptx::WgmmaCommit();
      ptx::WgmmaWait<0>();
      weights += 4 * static_cast<int>(kStep8Bytes);
      at.Next(wg_.buffers.stages);
    }
#pragma unroll
    for (int32_t& sum : sums) ptx::KeepRegister(sum);
  }

  __device__ __forceinline__ float Value(int32_t sum, int32_t outliers, const TokenScales& token,
                                         const RowScales& row) const {
    if constexpr (Config::kInt8) {
      const float scale = __fmul_rn(token.outlier_scale, row.outlier_scale);
      return __fadd_rn(__fmul_rn(__int2float_rn(sum), scale), row.bias);
    }
    const float scale = __fmul_rn(token.scale, row.scale);
    const float main = __fmul_rn(__int2float_rn(sum - 128 * token.sum), scale);
    return WithOutliers(main, outliers, token, row);
  }
  __device__ __forceinline__ float Value(float sum, int32_t outliers, const TokenScales& token,
                                         const RowScales& row) const {
    if constexpr (Config::kDense) return __fadd_rn(sum, row.bias);
    return WithOutliers(sum, outliers, token, row);
  }
  __device__ __forceinline__ float WithOutliers(float main, int32_t outliers,
                                                const TokenScales& token,
                                                const RowScales& row) const {
    if (outlier_blocks() > 0) {
      const float scale = __fmul_rn(token.outlier_scale, row.outlier_scale);
      main = __fmaf_rn(__int2float_rn(outliers), scale, main);
    }
    return __fadd_rn(main, row.bias);
  }

  __device__ __forceinline__ int outlier_blocks() const {
    return Config::kPlain ? 0 : wg_.params.outlier_blocks;
  }
  static __device__ __forceinline__ RowScales AsRow(uint4 v) {
    return {__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z), 0.0f};
  }
  /// Of the first of this thread's two tokens in eight from `token` on, or the second from + 1.
  __device__ __forceinline__ TokenScales TokenAt(int token) const {
    if constexpr (Config::kDense) return {};
    const uint4 v = LoadShared16(wg_.buffers.Tokens() + (token + wg_.thread % 4 * 2) * 16);
    return {__uint_as_float(v.x), __uint_as_float(v.y), static_cast<int32_t>(v.z), 0};
  }

  TileWarpgroup<Config>& wg_;
  SliceWriter writer_;
  uint32_t parity_ = 0;
};

}  // namespace atom::kernels::cuda
