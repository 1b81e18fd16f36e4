// Teams of warps that take one row after another. A thread owns 16 or 32 result columns: one or two
// 16-byte chunks of the packed activation. The next row comes while one is worked on. With one
// barrier at each bar, of which rows that are only activated need the last:
//
//   a row lands | gather, Σ x² | norm, Hadamard, maxima | codes
#pragma once

#include <algorithm>

#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/rows/fused/activated_row.cuh"
#include "atom/kernels/cuda/rows/fused/encode.cuh"
#include "atom/kernels/cuda/rows/fused/gathered_row.cuh"
#include "atom/kernels/cuda/rows/fused/transform.cuh"

namespace atom::kernels::cuda::fused {

inline constexpr int kCtaWarps = 12, kMaxTeams = 6;
inline constexpr int kMaxShared = 224 * 1024;

template <class Source>
constexpr int kMaxRegisters = Source::kThreadColumns == 16 ? 64 : 80;

template <class Source>
__global__ void __maxnreg__(kMaxRegisters<Source>)
    FusedQuantizeKernel(const __grid_constant__ Params params) {
  constexpr int kColumns = Source::kThreadColumns;
  extern __shared__ __align__(128) char shared[];
  __shared__ Partial partials_of_warps[2][kMaxWarps];
  ptx::LaunchDependents();
  const Team team(params.teams);
  const auto step = static_cast<int>(gridDim.x) * params.teams;
  const int rows = params.call.rows;
  int first = static_cast<int>(blockIdx.x) * params.teams;  // of the teams' rows
  int row = first + static_cast<int>(team.index);
  Source source(params, shared, team, row, step);
  RowEncoder<kColumns> encoder(params, team);
  const uint32_t first_warp = team.index * team.threads / 32;
  const auto partials = [&](int turn) { return partials_of_warps[turn] + first_warp; };
  const bool hadamard = params.call.hadamard;
  // Tables are made of nobody's results. Where there are many rows, the first comes meanwhile.
  const bool many = rows > step;
  if (many) {
    ptx::WaitForPredecessors();
    source.RequestNext(row);
  }
  source.BuildTables();
  if (!many) {
    ptx::WaitForPredecessors();
    source.RequestNext(row);
  }

  int last = -1, turn = 0;
  for (; first < rows; first += step, row += step, turn ^= 1) {
    float y[kColumns];
    source.Take(row, row + step, partials(turn), y);
    if (hadamard) {
      bool low[RowEncoder<kColumns>::kChunks];
#pragma unroll
      for (int h = 0; h < RowEncoder<kColumns>::kChunks; ++h) low[h] = encoder.is_low(h);
      TransformGroups(y, low, params, source.transform_twist());
    }
    encoder.FindLargest(y, partials(turn));
    __syncthreads();
    if constexpr (Source::kRequestsLate) source.RequestNext(row + step);
    encoder.Finish(last, partials(turn ^ 1));
    encoder.Encode(row, y, !hadamard, source.twist(), partials(turn));
    last = row < rows ? row : -1;
  }
  __syncthreads();
  encoder.Finish(last, partials(turn ^ 1));
}

/// As many CTAs as fit.
template <class Source>
cudaError_t Launch(const FusedQuantizeCall& call, cudaStream_t stream) {
  auto* kernel = FusedQuantizeKernel<Source>;
  constexpr int kColumns = Source::kThreadColumns;
  static const cudaError_t prepared =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMaxShared);
  if (prepared != cudaSuccess) return prepared;
  const int warps = (call.columns + 32 * kColumns - 1) / (32 * kColumns);
  const int row_bytes = 32 * warps * Source::RowBytes(call.residual.data != nullptr);
  const int table_bytes = 32 * warps * Source::kTableBytes;
  int device = 0, multiprocessors = 0, resident = 0;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) {
    code = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (code != cudaSuccess) return code;
  // Teams of a CTA: not more than there are rows for.
  const int rows = (call.rows + multiprocessors - 1) / multiprocessors;
  const int teams = std::max(1, std::min({kCtaWarps / warps, kMaxTeams, rows}));
  const int threads = 32 * warps * teams, bytes = table_bytes + teams * row_bytes;
  code = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, bytes);
  if (code != cudaSuccess) return code;
  const int most = multiprocessors * resident, needed = (call.rows + teams - 1) / teams;
  return LaunchDependent(kernel, {static_cast<unsigned>(std::min(needed, most)), 1, 1}, threads,
                         static_cast<size_t>(bytes), stream, Params(call, kColumns, warps, teams));
}

}  // namespace atom::kernels::cuda::fused
