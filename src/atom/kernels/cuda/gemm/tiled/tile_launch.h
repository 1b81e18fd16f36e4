// The launch of a tiled GEMM kernel; gemm.h is the header to include.
#pragma once

#include "atom/kernels/cuda/gemm/gemm.h"

namespace atom::kernels::cuda {

Status LaunchTileGemm(const GemmDesc& desc, const GemmPlan& plan, const GemmOperands& operands,
                      const GemmLaunch& launch);

}  // namespace atom::kernels::cuda
