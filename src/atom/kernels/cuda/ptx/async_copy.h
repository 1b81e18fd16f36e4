// Copies from global to shared memory that go past the registers, 16 bytes a thread, in groups that
// a thread waits for in order. PTX ISA 9.7.9.25.3 "cp.async".
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::ptx {

/// The first `bytes` of 16; the rest becomes 0. With 0 bytes `from` is not read.
__device__ __forceinline__ void AsyncCopy16(uint32_t to, const void* from, uint32_t bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ void AsyncCopyCommit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Until at most `kPending` of this thread's newest groups are under way.
template <int kPending>
__device__ __forceinline__ void AsyncCopyWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace atom::kernels::cuda::ptx
