// Main loops whose sums are INT32 over all K blocks: 4-bit weights with integer multipliers, and
// 8-bit weights.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/fragments.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_warpgroup.cuh"

namespace atom::kernels::cuda {

template <class Config>
class IntegerLoop {
 public:
  static constexpr int kTokens = Config::kTokens;
  static constexpr int kSums = kTokens / 2;  ///< accumulators of a thread

  __device__ explicit IntegerLoop(TileWarpgroup<Config>& wg) : wg_(wg) {}

  __device__ __forceinline__ void Run(const TileJob& job, int32_t (&sums)[kSums]) {
    if constexpr (Config::kInt8) {
      EightBits(job, sums);
    } else if constexpr (kTokens <= 128) {
      ByBlock(sums);
    } else {
      ByStep(sums);
    }
  }

 private:
  using Mma = ptx::Wgmma<Config::kInt8 ? ptx::MmaTypes::kS8S8 : ptx::MmaTypes::kU8S8,
                         ptx::OperandA::kRegisters, kTokens>;

  // Wide tiles: their accumulators leave registers for the operands of one block, not two. One
  // wgmma is always in flight while the operand of the next is unpacked; a stage is released when
  // the first wgmma of the next has been issued and all of its own are done.
  __device__ __forceinline__ void ByStep(int32_t (&sums)[kSums]) {
    int previous = -1;
    for (int block = 0; block < wg_.params.blocks; ++block) {
      wg_.WaitFull();
      const BlockWords words = LoadBlockWords(wg_.Weights(wg_.cursor.stage), wg_.thread);
      const uint64_t x = ptx::Swizzle128Descriptor(wg_.buffers.X(wg_.cursor.stage));
      uint32_t a[4][4];
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        UnpackInteger(words, step, a[step]);
        ptx::WgmmaFence();
        Mma::Issue(sums, a[step], x + 2 * step, block > 0 || step > 0);
        ptx::WgmmaCommit();
        ptx::WgmmaWait<1>();
        if (step == 0 && previous >= 0) wg_.Release(previous);
      }
      previous = wg_.cursor.stage;
      wg_.NextStage();
    }
    ptx::WgmmaWait<0>();
    wg_.Release(previous);
  }

  // Narrow tiles: their products are too short to hide an unpacking each. While those of one block
  // run, the operands of the next are unpacked into the other set of registers.
  __device__ __forceinline__ void ByBlock(int32_t (&sums)[kSums]) {
    uint32_t even[4][4];
    uint32_t odd[4][4];
    int previous = -1;
    int block = 0;
    for (; block + 1 < wg_.params.blocks; block += 2) {
      Block(block > 0, previous, even, sums);
      Block(true, previous, odd, sums);
    }
    if (block < wg_.params.blocks) Block(block > 0, previous, even, sums);
    ptx::WgmmaWait<0>();
    wg_.Release(previous);
  }

  // Issues the products of one block and waits for those of the block before, whose stage it frees.
  __device__ __forceinline__ void Block(bool accumulate, int& previous, uint32_t (&a)[4][4],
                                        int32_t (&sums)[kSums]) {
    wg_.WaitFull();
    const BlockWords words = LoadBlockWords(wg_.Weights(wg_.cursor.stage), wg_.thread);
    const uint64_t x = ptx::Swizzle128Descriptor(wg_.buffers.X(wg_.cursor.stage));
#pragma unroll
    for (int step = 0; step < 4; ++step) UnpackInteger(words, step, a[step]);
    PinOperand(a);
    ptx::WgmmaFence();
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      Mma::Issue(sums, a[step], x + 2 * step, accumulate || step > 0);
    }
    ptx::WgmmaCommit();
    ptx::WgmmaWait<1>();
    if (previous >= 0) wg_.Release(previous);
    previous = wg_.cursor.stage;
    wg_.NextStage();
  }

  // 8-bit weights. Nothing is unpacked: the other warpgroup's products fill the time
  // in which this one waits. Behind the last step x holds anything, and is multiplied by 0. Adds
  // to what `sums` hold.
  __device__ __forceinline__ void EightBits(const TileJob& job, int32_t (&sums)[kSums]) {
    for (int block = job.begin; block < job.end; ++block) {
      wg_.WaitFull();
      const uint32_t weights = wg_.Weights(wg_.cursor.stage);
      const uint64_t x = ptx::Swizzle128Descriptor(wg_.buffers.X(wg_.cursor.stage));
      uint32_t a[4][4];
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        LoadStep8(weights + step * static_cast<int>(kStep8Bytes), wg_.thread, a[step]);
        ClearUnless(4 * block + step < wg_.params.steps8, a[step]);
      }
      ptx::WgmmaFence();
#pragma unroll
      for (int step = 0; step < 4; ++step) {
        Mma::Issue(sums, a[step], x + 2 * step, true);
      }
      ptx::WgmmaCommit();
      ptx::WgmmaWait<0>();
      wg_.Release(wg_.cursor.stage);
      wg_.NextStage();
    }
  }

  TileWarpgroup<Config>& wg_;
};

}  // namespace atom::kernels::cuda
