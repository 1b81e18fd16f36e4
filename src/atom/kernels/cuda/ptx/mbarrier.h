// mbarriers in shared memory: how bulk copies and warps tell each other that a buffer is full or
// empty. PTX ISA 9.7.13.15 "mbarrier".
//
// A barrier completes a phase when its expected arrivals came *and* its expected bytes landed. Who
// waits names the parity of the phase it waits for: 0 for the first, 1 for the second, and so on;
// waiting for parity 1 on a fresh barrier returns at once, which is how a producer starts.
//
// Every wait gives up after some seconds: it goes on with an address outside of shared memory, and
// the hardware ends the kernel with an error. A lost arrival must not hang the card. (Not __trap():
// where the roles of a kernel share a way out, the compiler gives them one register count, whatever
// setmaxnreg says.)
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::ptx {

/// Byte address of a shared-memory object in the .shared window, as PTX wants it.
__device__ __forceinline__ uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// Tries before a wait gives up, after some seconds: each may sleep for some microseconds.
inline constexpr uint32_t kSpinLimit = 1u << 20;
inline constexpr uint32_t kNoSharedAddress = 0xfffffff8u;

__device__ __forceinline__ void MbarrierInit(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

/// Makes initialized barriers visible to the copy engine and to the other CTAs of the cluster;
/// behind it comes a CTA or cluster barrier. PTX ISA 9.7.13.4 "membar / fence".
__device__ __forceinline__ void FenceMbarrierInit() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void MbarrierArrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

/// Arrives on a barrier of another CTA of the cluster (address from MapToRank). Without qualifiers
/// on purpose: `.release.cluster` compiles to a fence of the whole GPU and an L1 invalidation.
__device__ __forceinline__ void MbarrierArriveRemote(uint32_t cluster_address) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(cluster_address) : "memory");
}

/// One arrival that also announces `bytes` to come from bulk copies.
__device__ __forceinline__ void MbarrierArriveExpect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

__device__ __forceinline__ bool MbarrierTryWait(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(barrier), "r"(parity)
      : "memory");
  return done != 0;
}

__device__ __forceinline__ void MbarrierWait(uint32_t barrier, uint32_t parity) {
  for (uint32_t tries = 0; !MbarrierTryWait(barrier, parity); ++tries) {
    if (tries == kSpinLimit) barrier = kNoSharedAddress;
  }
}

}  // namespace atom::kernels::cuda::ptx
