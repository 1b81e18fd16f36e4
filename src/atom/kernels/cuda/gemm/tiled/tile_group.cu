// Tiled kernels of GemmRecipe::kGroup.
#include "atom/kernels/cuda/gemm/tiled/tile_kernel.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_kernels.h"

namespace atom::kernels::cuda {

TileFunction TileGroup192x128() { return TileGemm<TileConfig<GemmRecipe::kGroup, 3, 128, 2>>; }
TileFunction TileGroup128x128() { return TileGemm<TileConfig<GemmRecipe::kGroup, 2, 128, 2>>; }

}  // namespace atom::kernels::cuda
