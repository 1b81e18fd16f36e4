// What orders warps of a CTA, proxies of memory and kernels of a stream; and who has how many
// registers. Sections are those of the PTX ISA.
#pragma once

#include <cstdint>

namespace atom::kernels::cuda::ptx {

/// Named barrier among `threads` threads (a multiple of 32); ids 1 to 15, 0 is __syncthreads.
/// 9.7.13.1 "barrier".
__device__ __forceinline__ void BarrierSync(uint32_t id, uint32_t threads) {
  asm volatile("barrier.sync.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ __forceinline__ void BarrierArrive(uint32_t id, uint32_t threads) {
  asm volatile("barrier.arrive.aligned %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// The same barrier; true if the predicate is in any of its threads. Of a converged warp.
__device__ __forceinline__ bool BarrierAny(uint32_t id, uint32_t threads, bool predicate) {
  uint32_t any;
  asm volatile(
      "{\n"
      ".reg .pred p, q;\n"
      "setp.ne.u32 p, %3, 0;\n"
      "barrier.cta.red.or.pred.aligned q, %1, %2, p;\n"
      "selp.u32 %0, 1, 0, q;\n"
      "}\n"
      : "=r"(any)
      : "r"(id), "r"(threads), "r"(static_cast<uint32_t>(predicate))
      : "memory");
  return any != 0;
}

/// Ordinary writes to shared memory become visible to wgmma descriptors and bulk copies.
/// 9.7.13.4 "membar / fence".
__device__ __forceinline__ void FenceProxyAsync() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Gives up or takes registers of the CTA's own pool (what the launch gave all its threads); the
/// whole warpgroup calls it. Asking for more than the pool has hangs. 9.7.19.5 "setmaxnreg".
template <int kRegisters>
__device__ __forceinline__ void ReleaseRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void AcquireRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// Programmatic dependent launch: the next kernel of the stream may start its prologue.
/// 9.7.13.13 "griddepcontrol".
__device__ __forceinline__ void LaunchDependents() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
/// Until the kernels before this one have finished and their writes are visible.
__device__ __forceinline__ void WaitForPredecessors() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

/// True in one lane of a converged warp. 9.7.13.14 "elect.sync".
__device__ __forceinline__ bool ElectOne() {
  uint32_t elected;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "elect.sync _|p, 0xffffffff;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(elected));
  return elected != 0;
}

}  // namespace atom::kernels::cuda::ptx
