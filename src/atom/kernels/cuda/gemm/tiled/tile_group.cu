// Tiled kernels of GemmRecipe::kGroup.
#include "atom/kernels/cuda/gemm/tiled/tile_kernel.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_kernels.h"

namespace atom::kernels::cuda {

TileFunction TileGroup128() { return TileGemm<TileConfig<GemmRecipe::kGroup, 2, 128, 2>>; }
TileFunction TileGroup64() { return TileGemm<TileConfig<GemmRecipe::kGroup, 3, 64, 2>>; }
TileFunction TileWideGroup128() {
  return TileGemm<TileConfig<GemmRecipe::kGroup, 2, 128, 2, true>>;
}

}  // namespace atom::kernels::cuda
