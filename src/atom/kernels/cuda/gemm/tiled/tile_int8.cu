// Tiled kernels of GemmRecipe::kInt8.
#include "atom/kernels/cuda/gemm/tiled/tile_kernel.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_kernels.h"

namespace atom::kernels::cuda {

TileFunction TileInt8x256() { return TileGemm<TileConfig<GemmRecipe::kInt8, 2, 256, 2>>; }
TileFunction TileInt8x128() { return TileGemm<TileConfig<GemmRecipe::kInt8, 2, 128, 2>>; }

}  // namespace atom::kernels::cuda
