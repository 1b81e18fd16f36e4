// A multiplying warpgroup of a tiled GEMM kernel: 64 outputs × all tokens of the tile. The main
// loop leaves sums in registers; the epilogue goes through them in slices of 64 tokens, adds the
// outliers' part, whose INT32 sums live for one slice only, and scales. The order of float
// operations is that of docs/numerics.md, section 3, and depends on nothing but K.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/fragments.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_context.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_output.cuh"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda {

template <class Config>
class TileConsumer {
 public:
  static constexpr int kTokens = Config::kTokens;
  static constexpr int kSums = kTokens / 2;  ///< accumulators of a thread
  static constexpr int kSliceSums = kSliceTokens / 2;
  static constexpr int kSlices = kTokens / kSliceTokens;
  static constexpr int kHalfSums = kSums / 2;
  static constexpr ptx::MmaTypes kMainTypes =
      Config::kRecipe == GemmRecipe::kInteger ? ptx::MmaTypes::kU8S8 : ptx::MmaTypes::kS8S8;
  using MainMma = ptx::Wgmma<kMainTypes, ptx::OperandA::kRegisters, kTokens>;
  using HalfMma = ptx::Wgmma<kMainTypes, ptx::OperandA::kRegisters, kTokens / 2>;
  using SliceMma = ptx::Wgmma<ptx::MmaTypes::kS8S8, ptx::OperandA::kRegisters, kSliceTokens>;

  __device__ TileConsumer(const TileParams& params, const TileBuffers& buffers, int warpgroup,
                          int thread)
      : params_(params),
        buffers_(buffers),
        writer_(params, buffers, warpgroup, thread),
        warpgroup_(warpgroup),
        thread_(thread) {}

  /// The tile's place is worked out behind the main loop, which needs every register.
  __device__ void Multiply(int unit, int rank) {
    if constexpr (Config::kGroup) {
      float sums[kSums];
      GroupLoop(sums);
      Epilogue(TileAt<Config>(params_, unit, rank), sums);
    } else {
      int32_t sums[kSums];
      if constexpr (Config::kInt8) {
        Int8Loop(sums);
      } else {
        IntegerLoop(sums);
      }
      Epilogue(TileAt<Config>(params_, unit, rank), sums);
    }
  }

  __device__ void Finish() { writer_.Finish(); }

 private:
  __device__ __forceinline__ uint32_t Weights(int stage) const {
    return buffers_.W(stage) + warpgroup_ * Config::kBlockBytes;
  }

  /// This warpgroup is done with a stage: tells the producers of all CTAs that write into it. After
  /// a wgmma has completed, every warp has read what its operands were made of, so that one thread
  /// speaks for the warpgroup; group scales are read later, and each warp speaks for itself.
  __device__ __forceinline__ void Release(int stage) {
    if constexpr (Config::kGroup) __syncwarp();
    const int thread = Config::kGroup ? thread_ % 32 : thread_;
    if (thread >= Config::kCluster) return;
    const uint32_t empty = buffers_.Empty(stage);
    if constexpr (Config::kCluster == 1) {
      ptx::MbarrierArrive(empty);
    } else {
      ptx::MbarrierArriveRemote(ptx::MapToRank(empty, thread));
    }
  }

  __device__ __forceinline__ void NextStage() { cursor_.Next(buffers_.stages); }
  __device__ __forceinline__ void WaitFull() const {
    ptx::MbarrierWait(buffers_.Full(cursor_.stage), cursor_.parity);
  }

  // INT32 sums over all K blocks of the main loop.
  __device__ __forceinline__ void IntegerLoop(int32_t (&sums)[kSums]) {
    if constexpr (kTokens <= 128) {
      IntegerLoopByBlock(sums);
    } else {
      IntegerLoopByStep(sums);
    }
  }

  // Wide tiles: their accumulators leave registers for the operands of one block, not two. One
  // wgmma is always in flight while the operand of the next is unpacked; a stage is released when
  // the first wgmma of the next has been issued and all of its own are done.
  __device__ __forceinline__ void IntegerLoopByStep(int32_t (&sums)[kSums]) {
    int previous = -1;
    for (int block = 0; block < params_.blocks; ++block) {
      WaitFull();
      const BlockWords words = LoadBlockWords(Weights(cursor_.stage), thread_);
      const uint64_t x = ptx::Swizzle128Descriptor(buffers_.X(cursor_.stage));
      uint32_t a[4][4];
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        UnpackInteger(words, step, a[step]);
        ptx::WgmmaFence();
        MainMma::Issue(sums, a[step], x + 2 * step, block > 0 || step > 0);
        ptx::WgmmaCommit();
        ptx::WgmmaWait<1>();
        if (step == 0 && previous >= 0) Release(previous);
      }
      previous = cursor_.stage;
      NextStage();
    }
    ptx::WgmmaWait<0>();
    Release(previous);
  }

  // Narrow tiles: their products are too short to hide an unpacking each. While those of one block
  // run, the operands of the next are unpacked into the other set of registers.
  __device__ __forceinline__ void IntegerLoopByBlock(int32_t (&sums)[kSums]) {
    uint32_t even[4][4];
    uint32_t odd[4][4];
    int previous = -1;
    int block = 0;
    for (; block + 1 < params_.blocks; block += 2) {
      IntegerBlock(block > 0, previous, even, sums);
      IntegerBlock(true, previous, odd, sums);
    }
    if (block < params_.blocks) IntegerBlock(block > 0, previous, even, sums);
    ptx::WgmmaWait<0>();
    Release(previous);
  }

  // All operands are in registers before the first product is issued: ptxas would move an unpacking
  // between products, and then let each wait for the one before.
  static __device__ __forceinline__ void Pin(uint32_t (&a)[4][4]) {
#pragma unroll
    for (int i = 0; i < 16; ++i) ptx::KeepRegister(a[i / 4][i % 4]);
  }

  // Issues the products of one block and waits for those of the block before, whose stage it frees.
  __device__ __forceinline__ void IntegerBlock(bool accumulate, int& previous, uint32_t (&a)[4][4],
                                               int32_t (&sums)[kSums]) {
    WaitFull();
    const BlockWords words = LoadBlockWords(Weights(cursor_.stage), thread_);
    const uint64_t x = ptx::Swizzle128Descriptor(buffers_.X(cursor_.stage));
#pragma unroll
    for (int step = 0; step < 4; ++step) UnpackInteger(words, step, a[step]);
    Pin(a);
    ptx::WgmmaFence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      MainMma::Issue(sums, a[step], x + 2 * step, accumulate || step > 0);
    }
    ptx::WgmmaCommit();
    ptx::WgmmaWait<1>();
    if (previous >= 0) Release(previous);
    previous = cursor_.stage;
    NextStage();
  }

  // The same with 8-bit weights. Nothing is unpacked: the other warpgroup's products fill the time
  // in which this one waits. Steps behind the last have the last one's weights and multiply
  // padding, 0.
  __device__ __forceinline__ void Int8Loop(int32_t (&sums)[kSums]) {
    for (int block = 0; block < params_.blocks; ++block) {
      WaitFull();
      const uint32_t weights = Weights(cursor_.stage);
      const uint64_t x = ptx::Swizzle128Descriptor(buffers_.X(cursor_.stage));
      uint32_t a[4][4];
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        LoadStep8(weights + step * static_cast<int>(kStep8Bytes), thread_, a[step]);
      }
      ptx::WgmmaFence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        MainMma::Issue(sums, a[step], x + 2 * step, block > 0 || step > 0);
      }
      ptx::WgmmaCommit();
      ptx::WgmmaWait<0>();
      Release(cursor_.stage);
      NextStage();
    }
  }

  // A block of the group recipe on its way: unpacked, its stage not yet released.
  struct GroupBlock {
    uint64_t x;       ///< descriptor
    uint32_t scales;  ///< of this thread's two rows
    int stage;
  };

  // fp32 sums, promoted once a group.
  __device__ __forceinline__ void GroupLoop(float (&sums)[kSums]) {
#pragma unroll
    for (float& sum : sums) sum = 0.0f;
    if constexpr (Config::kWideGroups) {
      WideGroupLoop(sums);
    } else {
      int block = 0;
      for (; block + 3 < params_.blocks; block += 4) FourGroups(sums);
      for (; block < params_.blocks; ++block) OneGroup(sums);
    }
  }

  // Groups of one block. The tokens are two halves: one is promoted while the products of the other
  // run. Four blocks at a time, drained at the end: ptxas would let each product wait for the one
  // before if accumulators were read that are in flight over a loop's back edge.
  __device__ __forceinline__ void FourGroups(float (&sums)[kSums]) {
    int32_t low[kHalfSums];
    int32_t high[kHalfSums];
    uint32_t even[4][4];
    uint32_t odd[4][4];
    const GroupBlock b0 = UnpackGroup(even);
    IssueHalf<0>(b0, even, low);
    IssueHalf<1>(b0, even, high);
    const GroupBlock b1 = PromoteAndIssue(b0, odd, low, high, sums);
    const GroupBlock b2 = PromoteAndIssue(b1, even, low, high, sums);
    const GroupBlock b3 = PromoteAndIssue(b2, odd, low, high, sums);
    PromoteBoth(b3, low, high, sums);
  }

  __device__ __forceinline__ void OneGroup(float (&sums)[kSums]) {
    int32_t low[kHalfSums];
    int32_t high[kHalfSums];
    uint32_t a[4][4];
    const GroupBlock block = UnpackGroup(a);
    IssueHalf<0>(block, a, low);
    IssueHalf<1>(block, a, high);
    PromoteBoth(block, low, high, sums);
  }

  // `last` is in flight; promotes it half by half, and issues the next block's halves behind.
  __device__ __forceinline__ GroupBlock PromoteAndIssue(const GroupBlock& last, uint32_t (&a)[4][4],
                                                        int32_t (&low)[kHalfSums],
                                                        int32_t (&high)[kHalfSums],
                                                        float (&sums)[kSums]) {
    const GroupBlock next = UnpackGroup(a);
    ptx::WgmmaWait<1>();
    PromoteHalf<0>(last, low, sums);
    IssueHalf<0>(next, a, low);
    ptx::WgmmaWait<1>();
    PromoteHalf<1>(last, high, sums);
    Release(last.stage);
    IssueHalf<1>(next, a, high);
    return next;
  }

  __device__ __forceinline__ void PromoteBoth(const GroupBlock& last, int32_t (&low)[kHalfSums],
                                              int32_t (&high)[kHalfSums], float (&sums)[kSums]) {
    ptx::WgmmaWait<1>();
    PromoteHalf<0>(last, low, sums);
    ptx::WgmmaWait<0>();
    PromoteHalf<1>(last, high, sums);
    Release(last.stage);
  }

  __device__ __forceinline__ GroupBlock UnpackGroup(uint32_t (&a)[4][4]) {
    WaitFull();
    const BlockWords words = LoadBlockWords(Weights(cursor_.stage), thread_);
#pragma unroll
    for (int step = 0; step < 4; ++step) UnpackTimes16(words, step, a[step]);
    Pin(a);
    const GroupBlock block{ptx::Swizzle128Descriptor(buffers_.X(cursor_.stage)), words.scales,
                           cursor_.stage};
    NextStage();
    return block;
  }

  template <int kHalf>
  __device__ __forceinline__ void IssueHalf(const GroupBlock& block, const uint32_t (&a)[4][4],
                                            int32_t (&part)[kHalfSums]) {
    ptx::WgmmaFence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      HalfMma::Issue(part, a[step], block.x + kHalf * (kTokens / 2 * 128 / 16) + 2 * step,
                     step > 0);
    }
    ptx::WgmmaCommit();
  }

  template <int kHalf>
  __device__ __forceinline__ void PromoteHalf(const GroupBlock& block, int32_t (&part)[kHalfSums],
                                              float (&sums)[kSums]) {
#pragma unroll
    for (int32_t& p : part) ptx::KeepRegister(p);
    Promote(block.scales, buffers_.Groups(block.stage) + kHalf * kTokens / 2 * 4, part,
            &sums[kHalf * kHalfSums]);
  }

  // Groups of several blocks, which are rare: nothing overlaps inside the warpgroup.
  __device__ __forceinline__ void WideGroupLoop(float (&sums)[kSums]) {
    int32_t part[kSums];
    int in_group = 0;
    for (int block = 0; block < params_.blocks; ++block) {
      uint32_t a[4][4];
      const GroupBlock group = UnpackGroup(a);
      ptx::WgmmaFence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        MainMma::Issue(part, a[step], group.x + 2 * step, in_group > 0 || step > 0);
      }
      ptx::WgmmaCommit();
      ptx::WgmmaWait<0>();
#pragma unroll
      for (int32_t& p : part) ptx::KeepRegister(p);
      if (++in_group == params_.group_blocks) {
        Promote(group.scales, buffers_.Groups(group.stage), part, sums);
        in_group = 0;
      }
      Release(group.stage);
    }
  }

  // 1/16 of UnpackTimes16 goes into the weights' scales.
  template <int kCount>
  __device__ __forceinline__ void Promote(uint32_t row_scales, uint32_t groups,
                                          const int32_t (&part)[kCount], float* sums) {
    const __half2 halves = reinterpret_cast<const __half2&>(row_scales);
    const float w0 = __low2float(halves) * 0.0625f;
    const float w1 = __high2float(halves) * 0.0625f;
    const uint32_t at = groups + thread_ % 4 * 8;
#pragma unroll
    for (int j = 0; j < kCount / 4; ++j) {
      const float2 t = LoadShared8(at + j * 32);
      float* sum = &sums[4 * j];
      const int32_t* p = &part[4 * j];
      sum[0] = __fmaf_rn(__int2float_rn(p[0]), __fmul_rn(t.x, w0), sum[0]);
      sum[1] = __fmaf_rn(__int2float_rn(p[1]), __fmul_rn(t.y, w0), sum[1]);
      sum[2] = __fmaf_rn(__int2float_rn(p[2]), __fmul_rn(t.x, w1), sum[2]);
      sum[3] = __fmaf_rn(__int2float_rn(p[3]), __fmul_rn(t.y, w1), sum[3]);
    }
  }

  // INT32 sums of the outlier columns of one slice. All outlier stages are held until the last
  // slice; steps behind the last multiply padding, 0, by whatever the shared memory holds.
  __device__ __forceinline__ void OutlierSums(int slice, int32_t (&sums)[kSliceSums]) {
    uint32_t weights = buffers_.Outliers() +
                       warpgroup_ * params_.outlier_blocks * 4 * static_cast<int>(kStep8Bytes);
    StageCursor at = cursor_;
#pragma unroll 1
    for (int block = 0; block < params_.outlier_blocks; ++block) {
      const uint64_t x =
          ptx::Swizzle128Descriptor(buffers_.X(at.stage) + slice * kSliceTokens * 128);
      uint32_t a[4][4];
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        LoadStep8(weights + step * static_cast<int>(kStep8Bytes), thread_, a[step]);
      }
      ptx::WgmmaFence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        SliceMma::Issue(sums, a[step], x + 2 * step, block > 0 || step > 0);
      }
      ptx::WgmmaCommit();
      ptx::WgmmaWait<0>();
      weights += 4 * static_cast<int>(kStep8Bytes);
      at.Next(buffers_.stages);
    }
#pragma unroll
    for (int32_t& sum : sums) ptx::KeepRegister(sum);
  }

  template <class Sum>
  __device__ __forceinline__ void Epilogue(const Tile& tile, Sum (&sums)[kSums]) {
    ptx::MbarrierWait(buffers_.TileFull(), tile_parity_);
    tile_parity_ ^= 1;
    StageCursor at = cursor_;
    for (int block = 0; block < params_.outlier_blocks; ++block) {
      ptx::MbarrierWait(buffers_.Full(at.stage), at.parity);
      at.Next(buffers_.stages);
    }
    const uint32_t rows =
        buffers_.Rows() + (warpgroup_ * 64 + thread_ / 32 * 16 + thread_ % 32 / 4) * 16;
    const RowScales row0 = AsRow(LoadShared16(rows));
    const RowScales row1 = AsRow(LoadShared16(rows + 8 * 16));
#pragma unroll
    for (int slice = 0; slice < kSlices; ++slice) {
      int32_t outliers[kSliceSums];
      if (params_.outlier_blocks > 0) OutlierSums(slice, outliers);
      if (slice == kSlices - 1) {
        for (int block = 0; block < params_.outlier_blocks; ++block) {
          Release(cursor_.stage);
          NextStage();
        }
      }
      float v[kSliceSums];
      const uint32_t tokens = buffers_.Tokens() + (slice * kSliceTokens + thread_ % 4 * 2) * 16;
#pragma unroll
      for (int j = 0; j < kSliceTokens / 8; ++j) {
        const TokenScales t0 = AsToken(LoadShared16(tokens + j * 128));
        const TokenScales t1 = AsToken(LoadShared16(tokens + j * 128 + 16));
        const Sum* s = &sums[slice * kSliceSums + 4 * j];
        v[4 * j + 0] = Value(s[0], outliers[4 * j + 0], t0, row0);
        v[4 * j + 1] = Value(s[1], outliers[4 * j + 1], t1, row0);
        v[4 * j + 2] = Value(s[2], outliers[4 * j + 2], t0, row1);
        v[4 * j + 3] = Value(s[3], outliers[4 * j + 3], t1, row1);
      }
      if (slice == kSlices - 1) {
        __syncwarp();
        if (thread_ % 32 == 0) ptx::MbarrierArrive(buffers_.TileEmpty());
      }
      writer_.Write(tile, slice, v);
    }
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
    return WithOutliers(sum, outliers, token, row);
  }
  __device__ __forceinline__ float WithOutliers(float main, int32_t outliers,
                                                const TokenScales& token,
                                                const RowScales& row) const {
    if (params_.outlier_blocks > 0) {
      const float scale = __fmul_rn(token.outlier_scale, row.outlier_scale);
      main = __fmaf_rn(__int2float_rn(outliers), scale, main);
    }
    return __fadd_rn(main, row.bias);
  }

  static __device__ __forceinline__ RowScales AsRow(uint4 v) {
    return {__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z), 0.0f};
  }
  static __device__ __forceinline__ TokenScales AsToken(uint4 v) {
    return {__uint_as_float(v.x), __uint_as_float(v.y), static_cast<int32_t>(v.z), 0};
  }

  const TileParams& params_;
  const TileBuffers& buffers_;
  SliceWriter writer_;
  int warpgroup_;
  int thread_;
  StageCursor cursor_;
  uint32_t tile_parity_ = 0;
};

}  // namespace atom::kernels::cuda
