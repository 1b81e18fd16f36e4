// What the kernels of the fused quantizers are launched with.
#pragma once

#include <bit>
#include <cmath>

#include "atom/kernels/cuda/rows/fused_quantize_call.h"
#include "atom/kernels/cuda/rows/integer_codes.cuh"

namespace atom::kernels::cuda::fused {

inline constexpr int kMaxWarps = 24;      ///< of a CTA
inline constexpr int kChunkColumns = 16;  ///< their codes are one 16-byte store

/// The call, and what follows from it, as operands in constant memory.
struct Params {
  FusedQuantizeCall call;
  float transform_norm;       ///< 1 / sqrt(group)
  float columns, per_column;  ///< the number and its reciprocal, rounded
  CodeRange range;            ///< of the low-bit columns
  int teams;                  ///< of a CTA
  uint32_t warp_mask;         ///< a power of two, at least the warps of a CTA, minus 1
  bool one_encoder;           ///< a thread's chunks belong to one group, or all to the outliers

  Params(const FusedQuantizeCall& of, int thread_columns, int team_warps, int team_count)
      : call(of),
        transform_norm(1.0f / std::sqrt(static_cast<float>(of.group))),
        columns(static_cast<float>(of.columns)),
        per_column(1.0f / columns),
        range(of.bits),
        teams(team_count),
        warp_mask(std::bit_ceil(static_cast<uint32_t>(team_warps)) - 1),
        one_encoder(of.group >= thread_columns && of.outliers % thread_columns == 0) {}
};

/// The warps that work on one row. Teams of a CTA share tables, and go through their rows in step:
/// a barrier of the CTA costs less than one of some of its warps.
struct Team {
  uint32_t index, threads;  ///< of the CTA's teams; of this team
  uint32_t thread;          ///< in the team

  __device__ explicit Team(int teams)
      : index(threadIdx.x / (blockDim.x / teams)),
        threads(blockDim.x / teams),
        thread(threadIdx.x - index * threads) {}
  __device__ uint32_t warp() const { return thread / 32; }
  __device__ uint32_t lane() const { return thread % 32; }
};

/// What a warp tells the others of its team about a row. Rows take turns with two arrays of them,
/// so that one barrier a row is enough between those that write and those that read.
struct Partial {
  float squares, low_max, high_max;
  int code_sum;
};

}  // namespace atom::kernels::cuda::fused
