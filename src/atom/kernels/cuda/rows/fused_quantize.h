// The quantizers of the serving path: (residual +) RMSNorm + gather, gather, or silu · up; then the
// block Hadamard transform and the codes and scales of any integer recipe, in the layout that the
// GEMMs read. Each row is read once and written once.
#pragma once

#include <cuda_runtime_api.h>

#include "atom/core/result.h"
#include "atom/kernels/cuda/rows/fused_quantize_call.h"

namespace atom::kernels::cuda {

Status LaunchFusedQuantize(const FusedQuantizeCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
