// Tiled kernels of grouped products.
#include "atom/kernels/cuda/gemm/tiled/tile_kernel.cuh"
#include "atom/kernels/cuda/gemm/tiled/tile_kernels.h"

namespace atom::kernels::cuda {
namespace {

template <GemmRecipe kRecipe, bool kWideGroups = false>
using ExpertTiles = TileConfig<kRecipe, 2, 128, 2, kWideGroups, true>;

}  // namespace

TileFunction TileExpertInteger128() { return TileGemm<ExpertTiles<GemmRecipe::kInteger>>; }
TileFunction TileExpertGroup128() { return TileGemm<ExpertTiles<GemmRecipe::kGroup>>; }
TileFunction TileExpertInt8x128() { return TileGemm<ExpertTiles<GemmRecipe::kInt8>>; }
TileFunction TileExpertWideGroup128() { return TileGemm<ExpertTiles<GemmRecipe::kGroup, true>>; }

}  // namespace atom::kernels::cuda
