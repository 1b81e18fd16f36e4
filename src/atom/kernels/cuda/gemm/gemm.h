// Launches GEMMs: a description, a plan made from it (gemm_plan.h), and operands on the device.
//
//   const GemmPlan plan = PlanGemm(desc, device);
//   if (Status status = LaunchGemm(desc, plan, operands, stream); !status.ok()) return status;
#pragma once

#include <cuda_runtime_api.h>

#include "atom/core/result.h"
#include "atom/kernels/cuda/gemm/gemm_desc.h"
#include "atom/kernels/cuda/gemm/gemm_plan.h"

namespace atom::kernels::cuda {

struct GemmLaunch {
  cudaStream_t stream = nullptr;
  /// Programmatic dependent launch: the kernel may start while the one before it ends; it waits
  /// before it reads activations or writes Y.
  bool overlap_previous = false;
};

/// Enqueues one kernel. REQUIRES: plan came from PlanGemm(desc, …); the current device is the
/// plan's.
Status LaunchGemm(const GemmDesc& desc, const GemmPlan& plan, const GemmOperands& operands,
                  const GemmLaunch& launch);

}  // namespace atom::kernels::cuda
