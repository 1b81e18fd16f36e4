// The streaming GEMM: y[M][N] = x · Wᵀ where the weight is read once, front to back, and the
// products run on wgmma with the weight as operand A. For small M it is bound by the bandwidth of
// device memory; formats whose float sums must not depend on M use it for every M.
//
//   producer warps     weights of the first slots → wait for the kernel before → x → …
//   consumer warpgroup wait for a slot → unpack → 4 wgmma a chunk → (promote) → release
//
// The order of float operations is that of docs/numerics.md section 3 whatever the shape of the
// kernel: sums of groups may be computed by several warpgroups, but the running fp32 sums travel
// from warpgroup to warpgroup, so that they are one chain in ascending order of K.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_kernels.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_ring.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_store.cuh"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda {

inline constexpr int kProducerRegisters = 32;

/// Where a warpgroup stands in its CTA's grid of consumers.
template <StreamShape kShape>
struct StreamPlace {
  int row_block;
  int slice;
  int way;
  int thread;  ///< within the warpgroup
  __device__ StreamPlace()
      : row_block(threadIdx.x / 128 % kShape.row_blocks),
        slice(threadIdx.x / 128 / kShape.row_blocks % kShape.slices),
        way(threadIdx.x / 128 / kShape.row_blocks / kShape.slices),
        thread(threadIdx.x % 128) {}
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
  for (int i = 0; i < kShape.tokens / 2; ++i) ptx::KeepRegister(sum[i]);
}

/// Recipes whose sums are int32 over all of K: any split is exact.
template <StreamShape kShape>
__device__ __forceinline__ void ConsumeIntegers(const StreamingArgs& args,
                                                const StreamTile<kShape>& tile,
                                                const StreamLayout& shared, char* memory,
                                                uint32_t base, const StreamPlace<kShape>& place) {
  StreamReader<kShape> reader(shared, base, place.way);
  const uint32_t x_of_slice = place.slice * (kShape.tokens / 8) * 1024;
  const uint32_t part = shared.weights + place.row_block * kShape.part_bytes();
  int32_t low[(kShape.tokens / 2)];
  if constexpr (kShape.recipe == GemmRecipe::kInteger) {
#pragma unroll
    for (int v = 0; v < (kShape.tokens / 2); ++v) low[v] = 0;
  }

  int i = place.way;
  if constexpr (kShape.recipe == GemmRecipe::kInteger) {
    for (; i < tile.local_slots4; i += kShape.ways) {
      const uint32_t slot = reader.Wait();
      const int units = args.blocks4 - tile.Slot(i) * kShape.units;
      Chunk a[kShape.units];
#pragma unroll
      for (int u = 0; u < kShape.units; ++u) {
        if (u < units) {
          IssueBlock4<kShape>(slot + part + u * kShape.block_bytes(),
                              slot + x_of_slice + u * tile.tokens * 128, place.thread, a[u], low,
                              true);
        }
      }
      ptx::WgmmaWait<0>();
      reader.Release();
      reader.Advance();
    }
  }
  int32_t outlier[(kShape.tokens / 2)];  // lives from here on: registers are short above
#pragma unroll
  for (int v = 0; v < (kShape.tokens / 2); ++v) outlier[v] = 0;
  for (; i < tile.local_slots; i += kShape.ways) {
    const uint32_t slot = reader.Wait();
    const int step = (tile.Slot(i) - tile.slots4) * kShape.steps8();
    constexpr int kAtOnce = kShape.recipe == GemmRecipe::kInt8 ? kShape.steps8() : 1;
    MultiplySteps8<kShape, kAtOnce>(slot + part, args.steps8 - step,
                                    slot + x_of_slice + step % 4 * 32, place.thread, outlier);
    reader.Release();
    reader.Advance();
  }

  const SideTables<kShape> side(args, memory);
  ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
  if constexpr (kShape.ways * kShape.cluster == 1) {
    ptx::WaitForPredecessors();
    const int row = place.first_row();
    const RowScales rows[2] = {side.rows[row], side.rows[row + 8]};
    StoreValues(args, tile, row, place.first_token(), [&](int v, int r, int token) {
      int32_t sum = 0;
      if constexpr (kShape.recipe == GemmRecipe::kInteger) sum = low[v];
      return side.Dequantize(rows[r], side.tokens[token], sum, outlier[v]);
    });
  } else {
    ptx::BarrierSync(1, kShape.consumers());  // the partial sums take the ring's place
    int32_t* partials = reinterpret_cast<int32_t*>(memory + kShape.ring());
    constexpr int kKind = kShape.ways * kShape.tile_tokens() * kShape.partial_stride();
    const int first =
        (place.way * kShape.tile_tokens() + place.first_token()) * kShape.partial_stride() +
        place.first_row();
#pragma unroll
    for (int v = 0; v < (kShape.tokens / 2); ++v) {
      const int at = first + (8 * (v / 4) + v % 2) * kShape.partial_stride() + 8 * (v % 4 / 2);
      if constexpr (kShape.recipe == GemmRecipe::kInteger) partials[at] = low[v];
      if (args.steps8 > 0) partials[kKind + at] = outlier[v];
    }
    ptx::WaitForPredecessors();
    ptx::BarrierSync(1, kShape.consumers());
    StorePartials<kShape>(args, tile, side, base + kShape.ring());
  }
}

/// fp32 sums, complete but for the bias.
template <StreamShape kShape>
__device__ __forceinline__ void StoreSums(const StreamingArgs& args, const StreamTile<kShape>& tile,
                                          const SideTables<kShape>& side,
                                          const StreamPlace<kShape>& place,
                                          const float (&sum)[(kShape.tokens / 2)]) {
  const int row = place.first_row();
  const float bias[2] = {side.rows[row].bias, side.rows[row + 8].bias};
  StoreValues(args, tile, row, place.first_token(),
              [&](int v, int r, int) { return __fadd_rn(sum[v], bias[r]); });
}

/// The running fp32 sums on their way between the warpgroups that split K. Warpgroup `way` waits at
/// barrier 1 + chain·W + way, at which the one before it arrives.
template <StreamShape kShape>
struct Handover {
  uint32_t base;
  const StreamPlace<kShape>& place;

  /// `which`: 0 the running sums, 1 those of the outliers.
  __device__ uint32_t At(int way, int which) const {
    return base + kShape.handover() +
           ((place.chain() * kShape.ways + way) * 2 + which) * 256 * kShape.tokens +
           place.thread * 16;
  }
  __device__ uint32_t Barrier(int way) const { return 1 + place.chain() * kShape.ways + way; }

  __device__ void Wait() const { ptx::BarrierSync(Barrier(place.way), 256); }
  template <class Sum>
  __device__ void Take(Sum (&sum)[kShape.tokens / 2], int which) const {
#pragma unroll
    for (int i = 0; i < kShape.tokens / 8; ++i) {
      const uint4 v = LoadShared16(At(place.way, which) + i * 2048);
      sum[4 * i] = FromBits<Sum>(v.x);
      sum[4 * i + 1] = FromBits<Sum>(v.y);
      sum[4 * i + 2] = FromBits<Sum>(v.z);
      sum[4 * i + 3] = FromBits<Sum>(v.w);
    }
  }
  template <class Sum>
  __device__ void Give(const Sum (&sum)[kShape.tokens / 2], int which) const {
#pragma unroll
    for (int i = 0; i < kShape.tokens / 8; ++i) {
      StoreShared16(At(next(), which) + i * 2048,
                    make_uint4(ToBits(sum[4 * i]), ToBits(sum[4 * i + 1]), ToBits(sum[4 * i + 2]),
                               ToBits(sum[4 * i + 3])));
    }
  }
  __device__ void Signal() const { ptx::BarrierArrive(Barrier(next()), 256); }
  __device__ int next() const { return place.way + 1 == kShape.ways ? 0 : place.way + 1; }
};

/// Sums of a group and their promotion.
template <StreamShape kShape>
struct GroupSum {
  static constexpr bool kInteger = kShape.recipe == GemmRecipe::kGroup;
  using Type = std::conditional_t<kInteger, int32_t, float>;

  /// sum = fma(group sum, scale of row (× scale of token), sum)
  static __device__ __forceinline__ void Promote(float (&sum)[(kShape.tokens / 2)],
                                                 const Type (&group)[(kShape.tokens / 2)],
                                                 float row_scale0, float row_scale1,
                                                 uint32_t token_scales, int token_stride) {
#pragma unroll
    for (int j = 0; j < (kShape.tokens / 2) / 4; ++j) {
      float2 token = make_float2(1.0f, 1.0f);
      if constexpr (kInteger) {
        token.x = LoadSharedFloat(token_scales + (8 * j) * token_stride);
        token.y = LoadSharedFloat(token_scales + (8 * j + 1) * token_stride);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float row_scale = i < 2 ? row_scale0 : row_scale1;
        const float scale =
            kInteger ? __fmul_rn(i % 2 == 0 ? token.x : token.y, row_scale) : row_scale;
        sum[4 * j + i] = __fmaf_rn(static_cast<float>(group[4 * j + i]), scale, sum[4 * j + i]);
      }
    }
  }
  static __device__ __forceinline__ float LoadSharedFloat(uint32_t address) {
    return __uint_as_float(LoadShared4(address));
  }
};

/// The fp16 scales of this thread's two rows behind a 4-bit block.
__device__ __forceinline__ float2 GroupScalesOf(uint32_t block, int thread) {
  const uint32_t pair =
      LoadShared4(block + kBlockCodeBytes + (thread / 32 * 8 + thread % 32 / 4) * 4);
  return __half22float2(*reinterpret_cast<const __half2*>(&pair));
}

/// Recipes with a scale a group: sums of a group, then one fp32 chain over the groups.
template <StreamShape kShape>
__device__ __forceinline__ void ConsumeGroups(const StreamingArgs& args,
                                              const StreamTile<kShape>& tile,
                                              const StreamLayout& shared, char* memory,
                                              uint32_t base, const StreamPlace<kShape>& place) {
  using Sum = typename GroupSum<kShape>::Type;
  constexpr bool kInteger = GroupSum<kShape>::kInteger;
  StreamReader<kShape> reader(shared, base, place.way);
  const Handover<kShape> handover{base, place};
  const uint32_t x_of_slice = place.slice * (kShape.tokens / 8) * 1024;
  const uint32_t part = shared.weights + place.row_block * kShape.part_bytes();
  const int first_token = place.first_token();
  // Without group scales, x has one scale a token.
  const bool token_scales = kInteger && args.operands.group_scales == nullptr;
  if (token_scales) ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
  float sum[(kShape.tokens / 2)];
#pragma unroll
  for (int v = 0; v < kShape.tokens / 2; ++v) sum[v] = 0.0f;

  int i = place.way;
  for (; i < tile.slots4; i += kShape.ways) {
    const uint32_t slot = reader.Wait();
    const int units = args.blocks4 - i * kShape.units;
    Sum group[kShape.units][(kShape.tokens / 2)];
    float2 row_scales[kShape.units];
    Chunk a[2];
#pragma unroll
    for (int u = 0; u < kShape.units; ++u) {
      const uint32_t block = slot + part + u * kShape.block_bytes();
      const uint32_t x = slot + x_of_slice + u * kShape.x_atoms() * tile.tokens * 128;
      row_scales[u] = GroupScalesOf(block, place.thread);
      if (u < units) {
        if constexpr (kInteger) {
          IssueBlock4<kShape>(block, x, place.thread, a[u % 2], group[u], false);
        } else {
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            Chunk& chunk = a[j % kShape.chunks()];
            // The registers' last products have been done.
            if (2 * u + j >= kShape.chunks()) ptx::WgmmaWait<kShape.chunks() - 1>();
            UnpackBFloat16(LoadShared16(block + j * 2048 + place.thread * 16), chunk);
            const uint64_t b = ptx::Swizzle128Descriptor(x + j * tile.tokens * 128);
            ptx::WgmmaFence();
#pragma unroll
            for (int s = 0; s < 4; ++s) {
              StreamMma<kShape>::Low::Issue(group[u], chunk[s], b + 2 * s, j > 0 || s > 0);
            }
            ptx::WgmmaCommit();
          }
        }
      }
    }
    ptx::WgmmaWait<0>();
    if (kShape.ways > 1 && i > 0) {
      handover.Wait();
      handover.Take(sum, 0);
    }
#pragma unroll
    for (int u = 0; u < kShape.units; ++u) {
      // Codes came as 16·code; the power of two goes into the scale, exactly.
      constexpr float kUnit = kInteger ? 0.0625f : 1.0f;
      if (u < units) {
        const uint32_t scales_at =
            token_scales ? base + kShape.token_scales() + first_token * 16
                         : slot + shared.x_scales + (u * tile.tokens + first_token) * 4;
        GroupSum<kShape>::Promote(sum, group[u], row_scales[u].x * kUnit, row_scales[u].y * kUnit,
                                  scales_at, token_scales ? 16 : 4);
      }
    }
    if (kShape.ways > 1 && i + 1 < tile.slots) {
      handover.Give(sum, 0);
      handover.Signal();
    }
    reader.Release();
    reader.Advance();
  }

  // The outliers are one group, summed slot after slot and promoted at the end.
  Sum group[kShape.tokens / 2];
#pragma unroll
  for (int v = 0; v < kShape.tokens / 2; ++v) group[v] = 0;
  const SideTables<kShape> side(args, memory);
  for (; i < tile.slots; i += kShape.ways) {
    const uint32_t slot = reader.Wait();
    const int step = (i - tile.slots4) * kShape.steps8();
    if (kShape.ways > 1) {
      handover.Wait();
      handover.Take(sum, 0);
      if (i > tile.slots4) handover.Take(group, 1);
    }
    if constexpr (kInteger) {
      MultiplySteps8<kShape, kShape.steps8()>(
          slot + part, args.steps8 - step, slot + x_of_slice + step % 4 * 32, place.thread, group);
    } else {
      MultiplySteps8In16Bit<kShape>(slot + part, args.steps8 - step, slot + x_of_slice,
                                    tile.tokens * 128, place.thread, group);
    }
    reader.Release();
    reader.Advance();
    if (kShape.ways > 1 && i + 1 < tile.slots) {
      handover.Give(sum, 0);
      handover.Give(group, 1);
      handover.Signal();
    }
  }
  if (place.way != (tile.slots - 1) % kShape.ways) return;
  ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
  if (args.steps8 > 0) {
    const int row = place.first_row();
    const uint32_t outlier_scales =
        base + kShape.token_scales() + first_token * sizeof(TokenScales) + 4;
    GroupSum<kShape>::Promote(sum, group, side.rows[row].outlier_scale,
                              side.rows[row + 8].outlier_scale, outlier_scales,
                              sizeof(TokenScales));
  }
  ptx::WaitForPredecessors();
  StoreSums(args, tile, side, place, sum);
}

/// Both operands in 16 bit, both from shared memory: one chain over K.
template <StreamShape kShape>
__device__ __forceinline__ void ConsumeDense(const StreamingArgs& args,
                                             const StreamTile<kShape>& tile,
                                             const StreamLayout& shared, char* memory,
                                             uint32_t base, const StreamPlace<kShape>& place) {
  static_assert(kShape.units == 1);
  StreamReader<kShape> reader(shared, base, 0);
  StreamReader<kShape> behind(shared, base, 0);
  const uint32_t x_of_slice = place.slice * (kShape.tokens / 8) * 1024;
  const uint32_t part = shared.weights + place.row_block * kShape.part_bytes();
  float sum[(kShape.tokens / 2)];
#pragma unroll
  for (int i = 0; i < (kShape.tokens / 2); ++i) sum[i] = 0.0f;
  for (int i = 0; i < tile.slots4; ++i) {
    const uint32_t slot = reader.Wait();
    const uint64_t a = ptx::Swizzle128Descriptor(slot + part);
    const uint64_t b = ptx::Swizzle128Descriptor(slot + x_of_slice);
    ptx::WgmmaFence();
#pragma unroll
    for (int s = 0; s < 4; ++s) StreamMma<kShape>::Dense::Issue(sum, a + 2 * s, b + 2 * s, true);
    ptx::WgmmaCommit();
    // One slot's products stay in flight; the slot before has been read.
    ptx::WgmmaWait<1>();
    if (i > 0) {
      behind.Release();
      behind.Advance();
    }
    reader.Advance();
  }
  ptx::WgmmaWait<0>();
  const SideTables<kShape> side(args, memory);
  ptx::MbarrierWait(base + StreamShape::kSideBarrier, 0);
  ptx::WaitForPredecessors();
  StoreSums(args, tile, side, place, sum);
}

template <StreamKernel kKernel>
__global__ void __launch_bounds__(Info(kKernel).shape.threads(), Info(kKernel).shape.ctas_per_sm)
    StreamingGemm(const __grid_constant__ StreamingArgs args,
                  const __grid_constant__ StreamLayout shared,
                  const __grid_constant__ StreamGrid grid) {
  constexpr StreamShape kShape = Info(kKernel).shape;
  extern __shared__ char raw[];
  // The offset of the dynamic shared memory is the same in every CTA of a cluster.
  const uint32_t raw_address = ptx::SharedAddress(raw);
  const uint32_t base = (raw_address + 1023) / 1024 * 1024;
  char* memory = raw + (base - raw_address);
  ptx::LaunchDependents();

  if (threadIdx.x < shared.slots) {
    ptx::MbarrierInit(base + StreamShape::kFullBarriers + 8 * threadIdx.x, 2);
    ptx::MbarrierInit(base + StreamShape::kEmptyBarriers + 8 * threadIdx.x,
                      4 * kShape.row_blocks * kShape.slices * kShape.share);
    if (threadIdx.x == 0) ptx::MbarrierInit(base + StreamShape::kSideBarrier, 1);
    ptx::FenceMbarrierInit();
  }
  __syncthreads();

  constexpr int kCtas = kShape.cluster * kShape.share;
  const int rank = kCtas > 1 ? static_cast<int>(ptx::ClusterRank()) : 0;
  const StreamTile<kShape> tile(args, grid, static_cast<int>(blockIdx.x) / kCtas, rank);
  if constexpr (kShape.share > 1) ptx::ClusterArrive();
  if (threadIdx.x >= kShape.consumers()) {
    if constexpr (kShape.consumer_registers() != 0) ptx::ReleaseRegisters<kProducerRegisters>();
    if constexpr (kShape.share > 1) ptx::ClusterWait();  // the other's barriers are initialized
    if (threadIdx.x % 32 == 0) {
      const int warp = (threadIdx.x - kShape.consumers()) / 32;
      StreamProducer<kShape>(args, shared, tile, base).Run(warp);
    }
    __syncwarp();
    if constexpr (kShape.cluster > 1) {  // as in StorePartials
      ptx::ClusterSync();
      ptx::ClusterSync();
    }
  } else {
    if constexpr (kShape.consumer_registers() != 0)
      ptx::AcquireRegisters<kShape.consumer_registers()>();
    const StreamPlace<kShape> place;
    if constexpr (kShape.share > 1) ptx::ClusterWait();
    if constexpr (kShape.integer_sums()) {
      ConsumeIntegers<kShape>(args, tile, shared, memory, base, place);
    } else if constexpr (kShape.group_sums()) {
      ConsumeGroups<kShape>(args, tile, shared, memory, base, place);
    } else {
      ConsumeDense<kShape>(args, tile, shared, memory, base, place);
    }
  }
  // The other CTA's loads for this one, and its arrivals here, are over before either ends.
  if constexpr (kShape.share > 1) ptx::ClusterSync();
}

}  // namespace atom::kernels::cuda
