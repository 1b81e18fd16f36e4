// Tiled kernels of GemmRecipe::kDense.
#include "atom/kernels/cuda/gemm/tiled/tile_kernel.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_kernels.h"

namespace atom::kernels::cuda {

TileFunction TileDense256() { return TileGemm<TileConfig<GemmRecipe::kDense, 2, 256, 2>>; }
TileFunction TileDense192() { return TileGemm<TileConfig<GemmRecipe::kDense, 2, 192, 2>>; }
TileFunction TileDense128() { return TileGemm<TileConfig<GemmRecipe::kDense, 2, 128, 2>>; }
TileFunction TileDense64() { return TileGemm<TileConfig<GemmRecipe::kDense, 2, 64, 2>>; }

}  // namespace atom::kernels::cuda
