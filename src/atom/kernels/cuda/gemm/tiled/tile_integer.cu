// Tiled kernels of GemmRecipe::kInteger.
#include "atom/kernels/cuda/gemm/tiled/tile_kernel.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_kernels.h"

namespace atom::kernels::cuda {

TileFunction TileInteger256() { return TileGemm<TileConfig<GemmRecipe::kInteger, 2, 256, 2>>; }
TileFunction TileInteger128() { return TileGemm<TileConfig<GemmRecipe::kInteger, 2, 128, 2>>; }
TileFunction TileInteger64() { return TileGemm<TileConfig<GemmRecipe::kInteger, 2, 64, 2>>; }

}  // namespace atom::kernels::cuda
