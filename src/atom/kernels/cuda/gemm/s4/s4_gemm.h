// The published recipe on tensor cores that multiply 4-bit integers (sm_80, sm_86, sm_89): bit for
// bit what docs/numerics.md, section 3, says, since every sum of a group is an exact integer and
// every output adds its groups in ascending order, the outliers last. From sm_90 on the instruction
// is emulated: correct, and slower than 16-bit arithmetic; gemm_plan.h has what pays there.
#pragma once

#include <cuda_runtime_api.h>
#include <string>

#include "atom/core/result.h"
#include "atom/kernels/cuda/gemm/s4/s4_call.h"

namespace atom::kernels::cuda {

/// Empty, or a sentence that says why the kernel does not compute this.
std::string WhyNotComputed(const S4GemmCall& call);

/// A pure function of the shape and the card's compute capability (86 for 8.6).
/// REQUIRES: WhyNotComputed(call) is empty.
S4GemmPlan PlanS4Gemm(const S4GemmCall& call, int compute_capability);
/// "s4: 32 × 32 tiles of 128 × 128, 33 blocks of K in 4 stages, 256 threads, 65536 bytes of shared
/// memory, native 4-bit products"
std::string ToString(const S4GemmPlan& plan);

/// On the current device.
Status LaunchS4Gemm(const S4GemmCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
