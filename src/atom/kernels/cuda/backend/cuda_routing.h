// Who of a step's rows chose which experts, on the device, and the grouping of their pairs.
#pragma once

#include "atom/kernels/backend.h"
#include "atom/kernels/cuda/moe/moe_calls.h"

namespace atom::kernels::cuda {

/// Bytes of the parts, for a capacity of rows.
struct RoutingSizes {
  RoutingSizes(const RouterShape& shape, int64_t capacity);

  int64_t chosen, weights, expert_rows, slot_pairs;
  int64_t sum() const { return chosen + weights + expert_rows + slot_pairs; }
};

struct CudaRouting final : ExpertRouting {
  CudaRouting(const RouterShape& router, int64_t rows) : ExpertRouting(router, rows) {}
  /// REQUIRES: made by the CUDA backend.
  static const CudaRouting& Of(const ExpertRouting& routing);
  static CudaRouting& Of(ExpertRouting& routing);

  int64_t slots() const { return SlotsOf(pairs(), experts()); }

  DeviceBuffer chosen;       ///< uint8_t[pairs, to a multiple of 4]
  DeviceBuffer weights;      ///< float[pairs]
  DeviceBuffer expert_rows;  ///< ExpertRows[experts]
  DeviceBuffer slot_pairs;   ///< int32_t[slots]
};

/// The rows of an activation, gathered by expert: places in one stretch of memory.
struct GatheredRows {
  GatheredRows(const quant::ActivationFormat& format, int64_t k, int64_t slots);

  int64_t tokens, group_scales;  ///< offsets; the values are first
  int64_t bytes;
};

/// The most that grouped products of a step gather.
int64_t GatheredBytes(const StepPlan& plan);

}  // namespace atom::kernels::cuda
