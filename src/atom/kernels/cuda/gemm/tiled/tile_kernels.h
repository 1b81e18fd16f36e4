// The compiled tiled kernels, one function each, so that every recipe is a source file of its own.
#pragma once

#include "atom/kernels/cuda/gemm/tiled/tile_params.h"

namespace atom::kernels::cuda {

using TileFunction = void (*)(TileParams);

TileFunction TileInteger256();
TileFunction TileInteger128();
TileFunction TileInteger64();
TileFunction TileGroup128();
TileFunction TileGroup64();
TileFunction TileWideGroup128();
TileFunction TileInt8x256();
TileFunction TileInt8x128();
TileFunction TileDense256();
TileFunction TileDense192();
TileFunction TileDense128();
TileFunction TileDense64();
TileFunction TileExpertInteger128();
TileFunction TileExpertGroup128();
TileFunction TileExpertInt8x128();
TileFunction TileExpertWideGroup128();

}  // namespace atom::kernels::cuda
