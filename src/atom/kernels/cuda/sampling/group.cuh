// The CTAs that work on one row together: a thread block cluster where the card has them, else one
// CTA. They read each other's shared memory between two Sync().
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::sampling {

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

struct Group {
  int rank = static_cast<int>(__clusterRelativeBlockRank());
  int size = static_cast<int>(__clusterSizeInBlocks());

  /// Every thread of the group has arrived, and what it wrote is visible.
  __device__ void Sync() const {
    __cluster_barrier_arrive();
    __cluster_barrier_wait();
  }
  /// What CTA `peer` has where this one has `shared`.
  template <class T>
  __device__ const T* At(const T* shared, int peer) const {
    return static_cast<const T*>(
        __cluster_map_shared_rank(const_cast<T*>(shared), static_cast<unsigned>(peer)));
  }
};

#else

struct Group {
  static constexpr int rank = 0;
  static constexpr int size = 1;

  __device__ void Sync() const { __syncthreads(); }
  template <class T>
  __device__ const T* At(const T* shared, int) const {
    return shared;
  }
};

#endif

}  // namespace atom::kernels::cuda::sampling
