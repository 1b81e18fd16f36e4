// The tiled GEMM kernel for many tokens: persistent, warp-specialized. One warp loads by bulk
// copies (tile_producer.cuh), two or three warpgroups multiply (tile_consumer.cuh); clusters of
// CTAs that lie side by side along the outputs share the loads of activations, or along the tokens
// those of weights. Who multiplies what, tile_schedule.h says.
//
//   warpgroup 0 … C-1   multiply, 64 outputs each          many registers
//   warpgroup C         loads, one lane a warp            few
//
// Weights are the A operand, from registers: Yᵀ = W · Xᵀ, so that 4-bit codes are unpacked once a
// tile and go straight into the tensor cores.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/tiled/tile_consumer.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_producer.cuh"

namespace atom::kernels::cuda {

/// Registers of loading and multiplying threads, within what a launch of kThreads gives a CTA.
template <int kWarpgroups>
struct RegisterSplit;
template <>
struct RegisterSplit<2> {  // 384 threads × 168
  static constexpr int kProducer = 40;
  static constexpr int kConsumer = 232;
};
template <>
struct RegisterSplit<3> {  // 512 threads × 128
  static constexpr int kProducer = 32;
  static constexpr int kConsumer = 160;
};

template <>
struct RegisterSplit<4> {  // 640 threads × 96
  static constexpr int kProducer = 32;
  static constexpr int kConsumer = 112;
};

template <class Config>
__global__ void __launch_bounds__(Config::kThreads, 1)
    TileGemm(const __grid_constant__ TileParams params) {
  extern __shared__ __align__(1024) uint8_t shared[];
  const TileBuffers buffers = MakeBuffers<Config>(params, ptx::SharedAddress(shared));
  const uint32_t rank = Config::kCluster == 1 ? 0 : ptx::ClusterRank();
  const int warpgroup = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 128, 0);
  const int thread = static_cast<int>(threadIdx.x) % 128;

  if (threadIdx.x == 0) {
    for (int stage = 0; stage < buffers.stages; ++stage) {
      ptx::MbarrierInit(buffers.Full(stage), kStageLoaders);
      ptx::MbarrierInit(buffers.Empty(stage), Config::kReleases);
    }
    ptx::MbarrierInit(buffers.TileFull(), 1);
    ptx::MbarrierInit(buffers.TileEmpty(), Config::kWarpgroups * 4);
    ptx::FenceMbarrierInit();
  }
  if constexpr (Config::kCluster == 1) {
    __syncthreads();
  } else {
    ptx::ClusterSync();
  }
  ptx::LaunchDependents();

  TileSchedule schedule = params.schedule;
  if constexpr (Config::kExperts) {
    MakeExpertTable<Config::kTokens>(params, buffers.Experts());
    schedule.units = params.row_units * AllExpertTiles(params, buffers.Experts());
  }
  if constexpr (!Config::kPlain) schedule.divided = 0;
  const int cluster = static_cast<int>(blockIdx.x) / Config::kCluster;
  TileJobs jobs(schedule, cluster);
  TileJob job;
  using Registers = RegisterSplit<Config::kWarpgroups>;
  if (warpgroup == Config::kWarpgroups) {
    ptx::ReleaseRegisters<Registers::kProducer>();
    const int warp = thread / 32;
    if (thread % 32 != 0) return;
    if (warp == 0) {
      ptx::WaitForPredecessors();
      ActivationLoader<Config> loader(params, buffers, static_cast<int>(rank));
      while (jobs.Next(job)) {
        loader.Load(TileAt<Config>(params, buffers, job.unit, static_cast<int>(rank)), job);
      }
      loader.Drain();
    } else if (warp == 1) {
      WeightLoader<Config> loader(params, buffers, static_cast<int>(rank));
      while (jobs.Next(job)) {
        loader.Load(TileAt<Config>(params, buffers, job.unit, static_cast<int>(rank)), job);
      }
    } else if (warp == 2) {
      ptx::WaitForPredecessors();
      TileDataLoader<Config> loader(params, buffers);
      while (jobs.Next(job)) {
        if (job.end != schedule.blocks) continue;  // no epilogue
        loader.Load(TileAt<Config>(params, buffers, job.unit, static_cast<int>(rank)));
      }
    }
  } else {
    ptx::AcquireRegisters<Registers::kConsumer>();
    TileWarpgroup<Config> wg{params, buffers, warpgroup, thread, {}};
    TileEpilogue<Config> epilogue(wg);
    while (jobs.Next(job)) {
      MultiplyTile<Config>(job, cluster, static_cast<int>(rank), wg, epilogue);
    }
    epilogue.Finish();
  }
}

}  // namespace atom::kernels::cuda
