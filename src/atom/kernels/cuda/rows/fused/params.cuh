// What the kernels of the fused quantizers are launched with.
#pragma once

#include <bit>
#include <cmath>

#include "atom/kernels/cuda/ptx/cluster.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/rows/fused_quantize_call.h"
#include "atom/kernels/cuda/rows/integer_codes.cuh"

namespace atom::kernels::cuda::fused {

inline constexpr int kMaxWarps = 24;      ///< of a CTA and of a team
inline constexpr int kChunkColumns = 16;  ///< their codes are one 16-byte store

/// The call, and what follows from it, as operands in constant memory.
struct Params {
  FusedQuantizeCall call;
  float transform_norm;       ///< 1 / sqrt(group)
  float columns, per_column;  ///< the number and its reciprocal, rounded
  CodeRange range;            ///< of the low-bit columns
  uint32_t warp_mask;         ///< a power of two, at least the warps of a team, minus 1
  bool one_encoder;           ///< a thread's chunks belong to one group, or all to the outliers

  Params(const FusedQuantizeCall& of, int thread_columns, int team_warps)
      : call(of),
        transform_norm(1.0f / std::sqrt(static_cast<float>(of.group))),
        columns(static_cast<float>(of.columns)),
        per_column(1.0f / columns),
        range(of.bits),
        warp_mask(std::bit_ceil(static_cast<uint32_t>(team_warps)) - 1),
        one_encoder(of.group >= thread_columns && of.outliers % thread_columns == 0) {}
};

/// What a warp tells the others of its team about a row. Rows take turns with two arrays of them,
/// so that one barrier a row is enough between those that write and those that read.
struct Partial {
  float squares, low_max, high_max;
  int code_sum;
};

/// The threads that work on one row: those of a CTA, of the `kCluster` CTAs of a cluster, or, where
/// several rows are worked on in a CTA, `threads` neighbouring ones of it.
template <int kCluster>
struct Team {
  uint32_t threads;
  uint32_t thread;  ///< this one

  __device__ Team() : threads(blockDim.x * kCluster), thread(threadIdx.x) {
    if constexpr (kCluster > 1) thread += blockDim.x * ptx::ClusterRank();
  }
  __device__ explicit Team(uint32_t threads_of_row)
      : threads(threads_of_row), thread(threadIdx.x % threads_of_row) {}
  __device__ uint32_t warp() const { return thread / 32; }
  __device__ uint32_t lane() const { return thread % 32; }

  __device__ __forceinline__ void Sync() const {
    if constexpr (kCluster > 1) {
      ptx::ClusterSync();
    } else {
      __syncthreads();
    }
  }
  /// The warp's value, the same in all lanes, to all CTAs of the team.
  template <class T>
  __device__ __forceinline__ void Tell(Partial* partials, T Partial::*member, T value) const {
    T* const to = &(partials[warp()].*member);
    if constexpr (kCluster > 1) {
      if (lane() < kCluster) StoreRemote(ptx::MapToRank(ptx::SharedAddress(to), lane()), value);
    } else {
      if (lane() == 0) *to = value;
    }
  }

 private:
  /// To distributed shared memory. PTX ISA 9.7.9.11 "st".
  static __device__ __forceinline__ void StoreRemote(uint32_t cluster_address, float v) {
    asm volatile("st.shared::cluster.f32 [%0], %1;" ::"r"(cluster_address), "f"(v) : "memory");
  }
  static __device__ __forceinline__ void StoreRemote(uint32_t cluster_address, int v) {
    asm volatile("st.shared::cluster.s32 [%0], %1;" ::"r"(cluster_address), "r"(v) : "memory");
  }
};

}  // namespace atom::kernels::cuda::fused
