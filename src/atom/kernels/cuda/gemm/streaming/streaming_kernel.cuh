// The streaming GEMM: y[M][N] = x · Wᵀ where the weight is read once, front to back, and the
// products run on wgmma with the weight as operand A. For small M it is bound by the bandwidth of
// device memory; weight-only products use it for every M.
//
//   producer warps     weights of the first slots → wait for the kernel before → x → …
//   consumer warpgroup wait for a slot → unpack → 4 wgmma a chunk → (promote) → release
//
// The order of float operations is that of docs/numerics.md section 3 whatever the shape of the
// kernel: sums of groups may be computed by several warpgroups, but the running fp32 sums travel
// from warpgroup to warpgroup, so that they are one chain in ascending order of K.
#pragma once

#include "atom/kernels/cuda/gemm/streaming/streaming_dense.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_groups.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_integers.cuh"
#include "atom/kernels/cuda/gemm/streaming/streaming_kernels.h"
#include "atom/kernels/cuda/gemm/streaming/streaming_producer.cuh"
#include "atom/kernels/cuda/ptx/cluster.h"

namespace atom::kernels::cuda {

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
                      4 * kShape.row_blocks * kShape.slices);
    if (threadIdx.x == 0) ptx::MbarrierInit(base + StreamShape::kSideBarrier, 1);
    ptx::FenceMbarrierInit();
  }
  __syncthreads();

  const int rank = kShape.cluster > 1 ? static_cast<int>(ptx::ClusterRank()) : 0;
  const StreamTile<kShape> tile(args, grid, static_cast<int>(blockIdx.x) / kShape.cluster, rank);
  if (tile.Empty()) return;
  if (threadIdx.x >= kShape.consumers()) {
    if constexpr (kShape.consumer_registers() != 0)
      ptx::ReleaseRegisters<kShape.producer_registers()>();
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
    if constexpr (kShape.integer_sums()) {
      ConsumeIntegers<kShape>(args, tile, shared, memory, base, place);
    } else if constexpr (kShape.group_sums()) {
      ConsumeGroups<kShape>(args, tile, shared, memory, base, place);
    } else {
      ConsumeDense<kShape>(args, tile, shared, memory, base, place);
    }
  }
}

}  // namespace atom::kernels::cuda
