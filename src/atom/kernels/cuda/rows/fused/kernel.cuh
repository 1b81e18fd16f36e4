// CTAs, or clusters of them, that take one row after another. A thread owns 16 or 32 result
// columns: one or two 16-byte chunks of the packed activation. The next row comes while one is
// worked on. With one barrier at each bar, of which rows that are only activated need the last:
//
//   a row lands | gather, Σ x² | norm, Hadamard, maxima | codes
#pragma once

#include <algorithm>

#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/rows/fused/activated_row.cuh"
#include "atom/kernels/cuda/rows/fused/encode.cuh"
#include "atom/kernels/cuda/rows/fused/gathered_row.cuh"
#include "atom/kernels/cuda/rows/fused/transform.cuh"

namespace atom::kernels::cuda::fused {

inline constexpr int kMaxRegisters = 96;

template <class Source>
__global__ void __maxnreg__(kMaxRegisters)
    FusedQuantizeKernel(const __grid_constant__ Params params) {
  constexpr int kColumns = Source::kThreadColumns, kCluster = Source::kCluster;
  using Codes = RowEncoder<kColumns, kCluster>;
  extern __shared__ __align__(128) char shared[];
  __shared__ Partial partials[2][kMaxWarps];
  ptx::LaunchDependents();
  const Team<kCluster> team;
  const auto step = static_cast<int>(gridDim.x) / kCluster;
  int row = static_cast<int>(blockIdx.x) / kCluster;
  Source source(params, shared, team, row, step);
  Codes encoder(params, team);
  const bool hadamard = params.call.hadamard;
  if constexpr (kCluster > 1) team.Sync();  // no CTA is told of anything before it runs
  source.BuildTables();                     // they are made of nobody's results
  ptx::WaitForPredecessors();
  source.RequestNext(row);

  int last = -1, turn = 0;
  for (; row < params.call.rows; row += step, turn ^= 1) {
    float y[kColumns];
    source.Take(row, row + step, partials[turn], y);
    if (hadamard) {
      bool low[Codes::kChunks];
#pragma unroll
      for (int h = 0; h < Codes::kChunks; ++h) low[h] = encoder.is_low(h);
      TransformGroups(y, low, params, source.transform_twist());
    }
    encoder.FindLargest(y, partials[turn]);
    team.Sync();
    if constexpr (Source::kRequestsLate) source.RequestNext(row + step);
    encoder.Finish(last, partials[turn ^ 1]);
    encoder.Encode(row, y, !hadamard, source.twist(), partials[turn]);
    last = row;
  }
  team.Sync();
  encoder.Finish(last, partials[turn ^ 1]);
}

/// As many CTAs as fit.
template <class Source>
cudaError_t Launch(const FusedQuantizeCall& call, cudaStream_t stream) {
  auto* kernel = FusedQuantizeKernel<Source>;
  constexpr int kColumns = Source::kThreadColumns, kCluster = Source::kCluster;
  static const cudaError_t prepared =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           kMaxFusedColumns / kColumns * Source::Bytes(true));
  if (prepared != cudaSuccess) return prepared;
  const int warps = (call.columns + 32 * kColumns - 1) / (32 * kColumns);  // of a row
  const int threads = (warps + kCluster - 1) / kCluster * 32;
  const int bytes = threads * Source::Bytes(call.residual.data != nullptr);
  int device = 0, multiprocessors = 0, resident = 0;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) {
    code = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (code == cudaSuccess) {
    code = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, bytes);
  }
  if (code != cudaSuccess) return code;
  const int teams = std::min(call.rows, multiprocessors * resident / kCluster);
  // As device/dependent_launch.h, and a cluster.
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {static_cast<unsigned>(kCluster), 1, 1};
  cudaLaunchConfig_t config = {};
  config.gridDim = {static_cast<unsigned>(teams * kCluster), 1, 1};
  config.blockDim = {static_cast<unsigned>(threads), 1, 1};
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = kCluster > 1 ? 2 : 1;
  return cudaLaunchKernelEx(&config, kernel, Params(call, kColumns, threads / 32));
}

}  // namespace atom::kernels::cuda::fused
