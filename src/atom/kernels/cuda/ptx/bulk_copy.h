// Bulk copies between global and shared memory by the copy engine (TMA). One thread issues them.
// PTX ISA 9.7.9.25 "cp.async.bulk", 9.7.9.27 "cp.async.bulk.tensor".
//
// One-dimensional copies: both addresses and the size are multiples of 16 bytes. Loads count their
// bytes on an mbarrier; stores are committed in groups and waited for by the thread that issued
// them. Shared memory that ordinary instructions wrote needs FenceProxyAsync (sync.h) in the
// writing threads, then a barrier, before a store.
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::ptx {

/// What becomes of a line in L2 after the copy has read it (the operand of .L2::cache_hint).
/// PTX ISA 9.7.9.18 "createpolicy": the encodings of its evict_first and evict_last results.
enum class CachePolicy : uint64_t {
  kEvictFirst = 0x12F0000000000000ull,  ///< read once: weights at small M
  kEvictLast = 0x14F0000000000000ull,   ///< read by many CTAs
};

/// global → this CTA's shared memory; `barrier` receives `bytes`.
__device__ __forceinline__ void BulkLoad(uint32_t to, const void* from, uint32_t bytes,
                                         uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ void BulkLoad(uint32_t to, const void* from, uint32_t bytes,
                                         uint32_t barrier, CachePolicy policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], "
      "[%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "l"(static_cast<uint64_t>(policy))
      : "memory");
}

/// global → the same offset in the shared memory of every CTA whose bit is set in `ranks`; the
/// barrier at the same offset of each receives `bytes`.
__device__ __forceinline__ void BulkLoadMulticast(uint32_t to, const void* from, uint32_t bytes,
                                                  uint32_t barrier, uint16_t ranks) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1], %2, [%3], %4;" ::"r"(to),
      "l"(from), "r"(bytes), "r"(barrier), "h"(ranks)
      : "memory");
}

/// Asks L2 to have `bytes` ready.
__device__ __forceinline__ void BulkPrefetchL2(const void* from, uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}

/// shared → global.
__device__ __forceinline__ void BulkStore(void* to, uint32_t from, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(from),
               "r"(bytes)
               : "memory");
}

/// shared → a box of the tensor that `map` (a CUtensorMap in global, constant or parameter memory)
/// describes; `x` counts in the innermost dimension. What lies outside the tensor is not written.
__device__ __forceinline__ void TensorStore2D(const void* map, uint32_t from, int32_t x,
                                              int32_t y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
      "r"(from), "r"(x), "r"(y)
      : "memory");
}

/// A box of a tensor → this CTA's shared memory; outside the tensor it is zero, and counts as
/// bytes.
__device__ __forceinline__ void TensorLoad2D(uint32_t to, const void* map, int32_t x, int32_t y,
                                             uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ void PrefetchTensorMap(const void* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

__device__ __forceinline__ void BulkCommit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Until at most `kPending` of this thread's newest groups have yet to *read* shared memory.
template <int kPending>
__device__ __forceinline__ void BulkWaitRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

/// Until at most `kPending` of this thread's newest groups have yet to complete their writes.
template <int kPending>
__device__ __forceinline__ void BulkWait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace atom::kernels::cuda::ptx
