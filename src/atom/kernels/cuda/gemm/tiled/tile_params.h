// What a tiled GEMM kernel is launched with: addresses, sizes and tensor maps, by value.
#pragma once

#include <cstdint>
#include <cuda.h>

#include "atom/kernels/cuda/gemm/gemm_desc.h"
#include "atom/kernels/cuda/gemm/tiled/tile_schedule.h"

namespace atom::kernels::cuda {

/// One weight; its tiles of outputs are numbered behind those of the weight before it.
struct TileSegment {
  const uint8_t* codes = nullptr;
  const RowScales* rows = nullptr;
  int32_t n = 0;
  int32_t row_blocks = 0;
  int32_t first_tile = 0;  ///< a large number for weights that are not there
  int32_t column = 0;      ///< of Y
};

struct TileParams {
  CUtensorMap maps[kMaxSegments];  ///< boxes of 64 outputs × a slice of Y
  TileSegment segments[kMaxSegments];
  const int8_t* x = nullptr;
  const TokenScales* tokens = nullptr;
  const float* group_scales = nullptr;  ///< [groups][M8], or one row: group_stride 0
  void* y = nullptr;
  int64_t y_stride = 0;
  int64_t row_block_bytes = 0;
  int32_t group_stride = 0;
  int32_t group_blocks = 1;  ///< K blocks that share a scale
  int32_t m = 0;
  int32_t token_atoms = 0;
  int32_t blocks = 0;          ///< K blocks that go through the main loop
  int32_t outlier_blocks = 0;  ///< K blocks of activations that go through the outlier part
  int32_t steps8 = 0;          ///< steps of 32 columns of 8-bit weights
  int32_t stages = 0;
  int32_t row_units = 0;        ///< units of tiles along the outputs
  int32_t token_units = 0;      ///< units of tiles along the tokens
  bool token_clusters = false;  ///< a unit's tiles lie side by side along the tokens
  TileSchedule schedule;        ///< units of experts only the device knows
  uint8_t* handover = nullptr;  ///< TileHandover's flags and sums, where units are divided
  const ExpertRows* expert_rows = nullptr;
  const GemmWeight* expert_weights = nullptr;  ///< [experts][segment_count]
  const int32_t* y_rows = nullptr;             ///< with experts: the row of Y of a row of X
  int32_t experts = 0;
  int32_t segment_count = 0;
  GemmOutput output = GemmOutput::kHalf;
  bool add = false;
  bool tensor_store = false;  ///< Y leaves through `maps`
  bool aligned = false;       ///< four neighbouring outputs are one aligned vector
};

}  // namespace atom::kernels::cuda
