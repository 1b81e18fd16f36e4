#include "atom/kernels/cuda/gemm/gemm.h"

#include "atom/kernels/cuda/gemm/tiled/tile_launch.h"

namespace atom::kernels::cuda {

Status LaunchGemm(const GemmDesc& desc, const GemmPlan& plan, const GemmOperands& operands,
                  const GemmLaunch& launch) {
  return LaunchTileGemm(desc, plan, operands, launch);
}

}  // namespace atom::kernels::cuda
