// Sums of groups where K is not split: some products run while the sums of those before them are
// promoted.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_promote.cuh"

namespace atom::kernels::cuda {

/// A consumer warpgroup's walk over the 4-bit K blocks. A part is a block's products with all
/// tokens, or with half of them where registers would not hold two sets of sums:
///
///   part p       issue | promote p - 1 | …
///   part p + 1                         | issue | promote p | …
///
/// A body of four or eight blocks, drained at the end: ptxas would let each product wait for the
/// one before if accumulators were read that are in flight over a loop's back edge.
template <StreamShape kShape>
struct GroupsInFours {
  static_assert(kShape.ways == 1 && kShape.groups() == 1 && 4 % kShape.units == 0);
  static constexpr int kParts = kShape.tokens == 64 ? 2 : 1;  ///< of a block
  /// The next block's words and a part's scales are read while products run, before the wait for
  /// them; where a barrier would be waited for between whole blocks, ptxas serializes products.
  static constexpr bool kAhead = kParts == 2 || kShape.units == 4;
  static constexpr int kBody = kShape.units == 4 ? 8 : 4;
  static constexpr int kPartTokens = kShape.tokens / kParts;
  static constexpr int kPartValues = kPartTokens / 2;
  using Mma = ptx::Wgmma<ptx::MmaTypes::kS8S8, ptx::OperandA::kRegisters, kPartTokens>;

  const StreamingArgs& args;
  const StreamTile<kShape>& tile;
  const StreamLayout& shared;
  uint32_t base;
  const StreamPlace<kShape>& place;
  bool token_scales;             ///< one scale a token, at plain_scales()
  StreamReader<kShape>& reader;  ///< the slot that comes next
  StreamReader<kShape> behind;   ///< the first slot that is not released

  __device__ __forceinline__ void Run(float (&sum)[kShape.values()]) {
    int block = 0;
    if constexpr (kBody == 8) {
      if (args.blocks4 % 8 >= 4) {  // begins with one slot instead of two
        Blocks<4>(sum);
        block = 4;
      }
    }
    for (; block + kBody <= args.blocks4; block += kBody) Blocks<kBody>(sum);
    const int left = args.blocks4 - block;
    if (left == 3) return Blocks<3>(sum);
    if (left == 2) return Blocks<2>(sum);
    if (left == 1) Blocks<1>(sum);
  }

 private:
  using Promotion = GroupSum<kShape>;

  /// A K block on its way.
  struct Block {
    uint32_t slot;
    uint32_t unit;  ///< of the slot
    uint4 word0, word1;
    uint32_t rows;  ///< fp16 scales of this thread's two rows
  };

  /// K blocks from the first of a slot on.
  template <int kCount>
  __device__ __forceinline__ void Blocks(float (&sum)[kShape.values()]) {
    int32_t group[2][kPartValues];
    Chunk a[2];
    Block blocks[kCount];
    if constexpr (kBody == 8) {
      // The body is one straight line: slots are waited for before it, and released behind it.
#pragma unroll
      for (int b = 0; b < kCount; b += kShape.units) WaitForSlot(blocks[b]);
    }
    Load(0, blocks);
#pragma unroll
    for (int p = 0; p < kCount * kParts; ++p) {
      const int b = p / kParts;
      if (p % kParts == 0) UnpackTimes16(blocks[b].word0, blocks[b].word1, a[b % 2]);
      Issue(blocks[b], p % kParts, a[b % 2], group[p % 2]);
      const bool loads = p % kParts == kParts - 1 && b + 1 < kCount;
      if (kAhead && loads) Load(b + 1, blocks);
      if (p > 0) {
        const Block& last = blocks[(p - 1) / kParts];
        PromoteOne<1>(last, (p - 1) % kParts, group[(p - 1) % 2], sum);
        if (kBody == 4 && p % (kParts * kShape.units) == 0) Release();
      }
      if (!kAhead && loads) Load(b + 1, blocks);
    }
    constexpr int kLast = kCount * kParts - 1;
    PromoteOne<0>(blocks[kCount - 1], kLast % kParts, group[kLast % 2], sum);
    Release();
    if (kCount > 4) Release();
  }

  __device__ __forceinline__ void WaitForSlot(Block& block) {
    block.slot = reader.Wait();
    reader.Advance();
  }

  /// Of the `b`-th block: at the first of a slot, waits for it.
  __device__ __forceinline__ void Load(int b, Block* blocks) {
    Block& block = blocks[b];
    block.unit = b % kShape.units;
    if (block.unit > 0) {
      block.slot = blocks[b - 1].slot;
    } else if (kBody == 4) {
      WaitForSlot(block);
    }
    const uint32_t at = block.slot + shared.weights + place.row_block * kShape.part_bytes() +
                        block.unit * kShape.block_bytes();
    block.word0 = LoadShared16(at + place.thread * 16);
    block.word1 = LoadShared16(at + 2048 + place.thread * 16);
    block.rows =
        LoadShared4(at + kBlockCodeBytes + (place.thread / 32 * 8 + place.thread % 32 / 4) * 4);
  }

  __device__ __forceinline__ void Issue(const Block& block, int part, Chunk& a,
                                        int32_t (&group)[kPartValues]) const {
    const uint64_t x =
        ptx::Swizzle128Descriptor(block.slot + block.unit * tile.tokens * 128 +
                                  (place.slice * kShape.tokens + part * kPartTokens) / 8 * 1024);
    ptx::WgmmaFence();
#pragma unroll
    for (int s = 0; s < 4; ++s) Mma::Issue(group, a[s], x + 2 * s, s > 0);
    ptx::WgmmaCommit();
  }

  /// When at most `kPending` products are on their way.
  template <int kPending>
  __device__ __forceinline__ void PromoteOne(const Block& block, int part,
                                             int32_t (&group)[kPartValues],
                                             float (&sum)[kShape.values()]) const {
    const uint32_t scales =
        (token_scales ? base + kShape.plain_scales()
                      : block.slot + shared.x_scales + block.unit * tile.tokens * 4) +
        (place.first_token() + part * kPartTokens) * 4;
    float2 tokens[kPartValues / 4];
    if constexpr (kAhead) Promotion::LoadTokens(scales, tokens);
    ptx::WgmmaWait<kPending>();
#pragma unroll
    for (int32_t& value : group) ptx::KeepRegister(value);
    if constexpr (!kAhead) Promotion::LoadTokens(scales, tokens);
    const float2 rows = __half22float2(reinterpret_cast<const __half2&>(block.rows));
    // Codes came as 16·code; the power of two goes into the scale, exactly.
    Promotion::Add(&sum[part * kPartValues], group, rows.x * 0.0625f, rows.y * 0.0625f, tokens);
  }

  __device__ __forceinline__ void Release() {
    behind.Release();
    behind.Advance();
  }
};

}  // namespace atom::kernels::cuda
