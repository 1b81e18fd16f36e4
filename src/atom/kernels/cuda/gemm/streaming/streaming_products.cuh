// What a consumer warpgroup multiplies: K blocks and 8-bit steps of a slot, on wgmma.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_fragments.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_reader.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_tile.cuh"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda {

/// Where a warpgroup stands in its CTA's grid of consumers.
template <StreamShape kShape>
struct StreamPlace {
  int row_block;
  int slice;
  int way;
  int thread;  ///< within the warpgroup
  __device__ StreamPlace() : thread(threadIdx.x % 128) {
    // Through a shuffle, so that the compiler knows it to be the same in a whole warp.
    const int warpgroup = __shfl_sync(~0u, static_cast<int>(threadIdx.x / 128), 0);
    row_block = warpgroup % kShape.row_blocks;
    slice = warpgroup / kShape.row_blocks % kShape.slices;
    way = warpgroup / kShape.row_blocks / kShape.slices;
  }
  __device__ int chain() const { return slice * kShape.row_blocks + row_block; }
  /// The first of this thread's two rows (the other is 8 below) and of its tokens, in the tile.
  __device__ int first_row() const {
    return row_block * static_cast<int>(kBlockRows) + thread / 32 * 16 + thread % 32 / 4;
  }
  __device__ int first_token() const { return slice * kShape.tokens + 2 * (thread % 4); }
};

template <StreamShape kShape>
struct StreamMma {
  static constexpr ptx::MmaTypes kTypes4 = kShape.recipe == GemmRecipe::kInteger
                                               ? ptx::MmaTypes::kU8S8
                                           : kShape.x_is_16_bit() ? ptx::MmaTypes::kBF16BF16
                                                                  : ptx::MmaTypes::kS8S8;
  static constexpr ptx::MmaTypes kTypes8 =
      kShape.x_is_16_bit() ? ptx::MmaTypes::kBF16BF16 : ptx::MmaTypes::kS8S8;
  using Low = ptx::Wgmma<kTypes4, ptx::OperandA::kRegisters, kShape.tokens>;
  using Outlier = ptx::Wgmma<kTypes8, ptx::OperandA::kRegisters, kShape.tokens>;
  using Dense = ptx::Wgmma<ptx::MmaTypes::kBF16BF16, ptx::OperandA::kShared, kShape.tokens>;
};

/// Products of one 4-bit K block (int8 x): a chunk of four steps.
template <StreamShape kShape, class Sum>
__device__ __forceinline__ void IssueBlock4(uint32_t block, uint32_t x, int thread, Chunk& a,
                                            Sum& sum, bool accumulate) {
  const uint4 word0 = LoadShared16(block + thread * 16);
  const uint4 word1 = LoadShared16(block + 2048 + thread * 16);
  if constexpr (kShape.recipe == GemmRecipe::kInteger) {
    const uint32_t scale_word = thread / 32 * 8 + thread % 32 / 4;
    UnpackIntegerScales(word0, word1, LoadShared4(block + kBlockCodeBytes + scale_word * 4), a);
  } else {
    UnpackTimes16(word0, word1, a);
  }
  const uint64_t b = ptx::Swizzle128Descriptor(x);
  ptx::WgmmaFence();
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    StreamMma<kShape>::Low::Issue(sum, a[s], b + 2 * s, accumulate || s > 0);
  }
  ptx::WgmmaCommit();
}

/// Products of one 4-bit K block with 16-bit x, `atom_stride` between its two atoms: two chunks.
/// `busy`: the chunks' registers may still be in use by products before these.
template <StreamShape kShape, class Sum>
__device__ __forceinline__ void IssueBlock4In16Bit(uint32_t block, uint32_t x, int atom_stride,
                                                   int thread, Chunk (&a)[2], Sum& sum, bool busy) {
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    Chunk& chunk = a[j % kShape.chunks()];
    if (busy || j >= kShape.chunks()) ptx::WgmmaWait<kShape.chunks() - 1>();
    UnpackBFloat16(LoadShared16(block + j * 2048 + thread * 16), chunk);
    const uint64_t b = ptx::Swizzle128Descriptor(x + j * atom_stride);
    ptx::WgmmaFence();
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      StreamMma<kShape>::Low::Issue(sum, chunk[s], b + 2 * s, j > 0 || s > 0);
    }
    ptx::WgmmaCommit();
  }
}

/// Products of 64 columns of a 4-bit K block, `words` from its codes on, with 16-bit x: one chunk.
template <StreamShape kShape, class Sum>
__device__ __forceinline__ void IssueHalfBlock4In16Bit(uint32_t words, uint32_t x, int thread,
                                                       Chunk& a, Sum& sum) {
  UnpackBFloat16(LoadShared16(words + thread * 16), a);
  const uint64_t b = ptx::Swizzle128Descriptor(x);
  ptx::WgmmaFence();
#pragma unroll
  for (int s = 0; s < 4; ++s) StreamMma<kShape>::Low::Issue(sum, a[s], b + 2 * s, s > 0);
  ptx::WgmmaCommit();
}

/// Products of up to four 8-bit steps with int8 x, kAtOnce between waits.
template <StreamShape kShape, int kAtOnce, class Sum>
__device__ __forceinline__ void MultiplySteps8(uint32_t steps_at, int steps, uint32_t x, int thread,
                                               Sum& sum) {
  const uint64_t b = ptx::Swizzle128Descriptor(x);
#pragma unroll
  for (int first = 0; first < kShape.steps8(); first += kAtOnce) {
    uint32_t a[kAtOnce][4];
#pragma unroll
    for (int s = 0; s < kAtOnce; ++s) {
      // A step that does not exist has weights of zero: wgmma must not stand in a branch.
      const bool exists = first + s < steps;
      const uint4 word = LoadShared16(steps_at + (first + s) * kStep8Bytes + thread * 16);
      a[s][0] = exists ? word.x : 0;
      a[s][1] = exists ? word.y : 0;
      a[s][2] = exists ? word.z : 0;
      a[s][3] = exists ? word.w : 0;
    }
    ptx::WgmmaFence();
#pragma unroll
    for (int s = 0; s < kAtOnce; ++s) {
      StreamMma<kShape>::Outlier::Issue(sum, a[s], b + 2 * (first + s), true);
    }
    ptx::WgmmaCommit();
    ptx::WgmmaWait<0>();
  }
}

/// The same with 16-bit x, `atom_stride` between its atoms of 64 columns: two steps at a time.
template <StreamShape kShape, class Sum>
__device__ __forceinline__ void MultiplySteps8In16Bit(uint32_t steps_at, int steps, uint32_t x,
                                                      int atom_stride, int thread, Sum& sum) {
  const uint4 none = make_uint4(0, 0, 0, 0);
#pragma unroll
  for (int s = 0; s < kShape.steps8(); s += 2) {
    Chunk a;
    const uint32_t words = steps_at + s * kStep8Bytes + thread * 16;
    // Steps that do not exist: weights of zero, and columns of x that do exist.
    UnpackStep8(s < steps ? LoadShared16(words) : none, a[0], a[1]);
    UnpackStep8(s + 1 < steps ? LoadShared16(words + kStep8Bytes) : none, a[2], a[3]);
    const uint64_t b = ptx::Swizzle128Descriptor(x + (s < steps ? s / 2 : 0) * atom_stride);
    ptx::WgmmaFence();
#pragma unroll
    for (int j = 0; j < 4; ++j) StreamMma<kShape>::Outlier::Issue(sum, a[j], b + 2 * j, true);
    ptx::WgmmaCommit();
    ptx::WgmmaWait<0>();
  }
#pragma unroll
  for (int i = 0; i < kShape.values(); ++i) ptx::KeepRegister(sum[i]);
}

}  // namespace atom::kernels::cuda
