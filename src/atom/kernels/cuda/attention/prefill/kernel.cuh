// Prefill: chunks of queries against the pages of their sequence. A CTA owns a tile of rows
// (row_tile.cuh). One warpgroup unpacks pages, the others multiply, each its own 64 rows:
//
//   packed pages of tile n + 2   →   stage of tile n + 1   →   scores, softmax, out of tile n
//        bulk copies                  unpacking warps            multiplying warpgroups
#pragma once

#include "atom/kernels/cuda/attention/dispatch.h"
#include "atom/kernels/cuda/attention/prefill.h"
#include "atom/kernels/cuda/attention/prefill/multiply.cuh"
#include "atom/kernels/cuda/attention/prefill/unpack.cuh"

namespace atom::kernels::cuda::prefill {

// Of 504 registers a thread of each warpgroup: what the launch gives three warpgroups.
inline constexpr int kMultiplyingRegisters = 224, kUnpackingRegisters = 56;

/// The rows of `sums` that never change: ones and zeros.
template <class Sizes>
__device__ void FillSums(char* shared) {
  constexpr int kWords = Sizes::kSumsBytes / 4, kOnes = Sizes::kSumsRowBytes / 4;
  for (int i = threadIdx.x; i < Sizes::kStages * kWords; i += Sizes::kThreads) {
    char* sums = shared + i / kWords * Sizes::kStageBytes + Sizes::kSumsAt;
    reinterpret_cast<uint32_t*>(sums)[i % kWords] = i % kWords < kOnes ? 0x3C003C00u : 0u;
  }
}

template <KvStorage kStorage, int kHeadDim, bool kSoftcap>
__global__ void __launch_bounds__(Shape<kStorage, kHeadDim>::kThreads, 1)
    PrefillKernel(const __grid_constant__ PrefillAttention call) {
  using Sizes = Shape<kStorage, kHeadDim>;
  extern __shared__ __align__(1024) char shared[];
  // The last tiles, which see most, begin first.
  const RowTile rows(call, blockIdx.x / call.kv.kv_heads, blockIdx.x % call.kv.kv_heads,
                     gridDim.y - 1 - blockIdx.y, Sizes::kRows);
  if (rows.count <= 0) return;
  FillSums<Sizes>(shared);
  if (threadIdx.x == 0) {
    const Barriers<Sizes> barriers{ptx::SharedAddress(shared + Sizes::kBarriersAt)};
    for (int i = 0; i < Sizes::kStages; ++i) {
      ptx::MbarrierInit(barriers.Full(i), kUnpackingWarps);
      ptx::MbarrierInit(barriers.Empty(i), Sizes::kWarpgroups * 4);
    }
    for (int i = 0; i < kUnpackingWarps * Sizes::kSlots; ++i) {
      ptx::MbarrierInit(barriers.Packed(0, i), 1);
    }
    ptx::FenceMbarrierInit();
  }
  __syncthreads();
  const int warpgroup = threadIdx.x / kWarpgroupThreads;
  if (warpgroup == Sizes::kWarpgroups) {
    if constexpr (Sizes::kWarpgroups == 2) ptx::ReleaseRegisters<kUnpackingRegisters>();
    Unpacker<kStorage, kHeadDim>(call, rows, shared, threadIdx.x % kWarpgroupThreads / 32).Run();
  } else {
    if constexpr (Sizes::kWarpgroups == 2) ptx::AcquireRegisters<kMultiplyingRegisters>();
    MultiplyingWarpgroup<kStorage, kHeadDim, kSoftcap>(call, rows, shared, warpgroup).Run();
  }
}

template <KvStorage kStorage, int kHeadDim>
cudaError_t LaunchAs(const PrefillAttention& call, cudaStream_t stream) {
  using Sizes = Shape<kStorage, kHeadDim>;
  const auto kernel = call.params.softcap > 0 ? PrefillKernel<kStorage, kHeadDim, true>
                                              : PrefillKernel<kStorage, kHeadDim, false>;
  const cudaError_t raised =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Sizes::kBytes);
  if (raised != cudaSuccess) return raised;
  const int tile_queries = Sizes::kRows / (call.params.heads / call.kv.kv_heads);
  const dim3 grid(call.kv.kv_heads * call.lists.sequences,
                  (call.max_queries + tile_queries - 1) / tile_queries);
  kernel<<<grid, Sizes::kThreads, Sizes::kBytes, stream>>>(call);
  return cudaGetLastError();
}

/// To be instantiated in a file of its own for each head_dim.
template <int kHeadDim>
cudaError_t Launch(const PrefillAttention& call, cudaStream_t stream) {
  return WithStorage(call.kv.storage,
                     [&](auto storage) { return LaunchAs<storage.value, kHeadDim>(call, stream); });
}

}  // namespace atom::kernels::cuda::prefill
