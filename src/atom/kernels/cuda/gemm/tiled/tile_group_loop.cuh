// Main loop of the published recipe: INT32 sums of one group of K, promoted to fp32 with the scales
// of weight and token, groups in ascending order. Promotion, not multiplication, is what takes the
// time.
#pragma once

#include <cstdint>
#include <cuda_fp16.h>

#include "atom/kernels/cuda/gemm/fragments.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_warpgroup.cuh"

namespace atom::kernels::cuda {

template <class Config>
class GroupLoop {
 public:
  static constexpr int kTokens = Config::kTokens;
  static constexpr int kSums = kTokens / 2;  ///< of a thread
  static constexpr int kHalfSums = kSums / 2;

  __device__ explicit GroupLoop(TileWarpgroup<Config>& wg) : wg_(wg) {}

  __device__ __forceinline__ void Run(float (&sums)[kSums]) {
#pragma unroll
    for (float& sum : sums) sum = 0.0f;
    if constexpr (Config::kWideGroups) {
      WideGroups(sums);
    } else {
      int block = 0;
      for (; block + 3 < wg_.params.blocks; block += 4) FourGroups(sums);
      for (; block < wg_.params.blocks; ++block) OneGroup(sums);
    }
  }

 private:
  using Mma = ptx::Wgmma<ptx::MmaTypes::kS8S8, ptx::OperandA::kRegisters, kTokens>;
  using HalfMma = ptx::Wgmma<ptx::MmaTypes::kS8S8, ptx::OperandA::kRegisters, kTokens / 2>;

  // A block on its way: unpacked, its stage not yet released.
  struct Block {
    uint64_t x;       ///< descriptor
    uint32_t scales;  ///< of this thread's two rows
    int stage;
  };

  // Groups of one block. The tokens are two halves: one is promoted while the products of the other
  // run. Four blocks at a time, drained at the end: ptxas would let each product wait for the one
  // before if accumulators were read that are in flight over a loop's back edge.
  __device__ __forceinline__ void FourGroups(float (&sums)[kSums]) {
    int32_t low[kHalfSums];
    int32_t high[kHalfSums];
    uint32_t even[4][4];
    uint32_t odd[4][4];
    const Block b0 = UnpackGroup(even);
    IssueHalf<0>(b0, even, low);
    IssueHalf<1>(b0, even, high);
    const Block b1 = PromoteAndIssue(b0, odd, low, high, sums);
    const Block b2 = PromoteAndIssue(b1, even, low, high, sums);
    const Block b3 = PromoteAndIssue(b2, odd, low, high, sums);
    PromoteBoth(b3, low, high, sums);
  }

  __device__ __forceinline__ void OneGroup(float (&sums)[kSums]) {
    int32_t low[kHalfSums];
    int32_t high[kHalfSums];
    uint32_t a[4][4];
    const Block block = UnpackGroup(a);
    IssueHalf<0>(block, a, low);
    IssueHalf<1>(block, a, high);
    PromoteBoth(block, low, high, sums);
  }

  // `last` is in flight; promotes it half by half, and issues the next block's halves behind.
  __device__ __forceinline__ Block PromoteAndIssue(const Block& last, uint32_t (&a)[4][4],
                                                   int32_t (&low)[kHalfSums],
                                                   int32_t (&high)[kHalfSums],
                                                   float (&sums)[kSums]) {
    const Block next = UnpackGroup(a);
    ptx::WgmmaWait<1>();
    PromoteHalf<0>(last, low, sums);
    IssueHalf<0>(next, a, low);
    ptx::WgmmaWait<1>();
    PromoteHalf<1>(last, high, sums);
    wg_.Release(last.stage);
    IssueHalf<1>(next, a, high);
    return next;
  }

  __device__ __forceinline__ void PromoteBoth(const Block& last, int32_t (&low)[kHalfSums],
                                              int32_t (&high)[kHalfSums], float (&sums)[kSums]) {
    ptx::WgmmaWait<1>();
    PromoteHalf<0>(last, low, sums);
    ptx::WgmmaWait<0>();
    PromoteHalf<1>(last, high, sums);
    wg_.Release(last.stage);
  }

  __device__ __forceinline__ Block UnpackGroup(uint32_t (&a)[4][4]) {
    wg_.WaitFull();
    const BlockWords words = LoadBlockWords(wg_.Weights(wg_.cursor.stage), wg_.thread);
#pragma unroll
    for (int step = 0; step < 4; ++step) UnpackTimes16(words, step, a[step]);
    PinOperand(a);
    const Block block{ptx::Swizzle128Descriptor(wg_.buffers.X(wg_.cursor.stage)), words.scales,
                      wg_.cursor.stage};
    wg_.NextStage();
    return block;
  }

  template <int kHalf>
  __device__ __forceinline__ void IssueHalf(const Block& block, const uint32_t (&a)[4][4],
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
  __device__ __forceinline__ void PromoteHalf(const Block& block, int32_t (&part)[kHalfSums],
                                              float (&sums)[kSums]) {
#pragma unroll
    for (int32_t& p : part) ptx::KeepRegister(p);
    Promote(block.scales, wg_.buffers.Groups(block.stage) + kHalf * kTokens / 2 * 4, part,
            &sums[kHalf * kHalfSums]);
  }

  // Groups of several blocks, which are rare: nothing overlaps inside the warpgroup.
  __device__ __forceinline__ void WideGroups(float (&sums)[kSums]) {
    int32_t part[kSums];
    int in_group = 0;
    for (int block = 0; block < wg_.params.blocks; ++block) {
      uint32_t a[4][4];
      const Block group = UnpackGroup(a);
      ptx::WgmmaFence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        Mma::Issue(part, a[step], group.x + 2 * step, in_group > 0 || step > 0);
      }
      ptx::WgmmaCommit();
      ptx::WgmmaWait<0>();
#pragma unroll
      for (int32_t& p : part) ptx::KeepRegister(p);
      if (++in_group == wg_.params.group_blocks) {
        Promote(group.scales, wg_.buffers.Groups(group.stage), part, sums);
        in_group = 0;
      }
      wg_.Release(group.stage);
    }
  }

  // 1/16 of UnpackTimes16 goes into the weights' scales.
  template <int kCount>
  __device__ __forceinline__ void Promote(uint32_t row_scales, uint32_t groups,
                                          const int32_t (&part)[kCount], float* sums) {
    const __half2 halves = reinterpret_cast<const __half2&>(row_scales);
    const float w0 = __low2float(halves) * 0.0625f;
    const float w1 = __high2float(halves) * 0.0625f;
    const uint32_t at = groups + wg_.thread % 4 * 8;
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

  TileWarpgroup<Config>& wg_;
};

}  // namespace atom::kernels::cuda
