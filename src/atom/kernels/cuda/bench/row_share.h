// The ceiling of a row: which one leaves the least room, and the share of it that was reached.
#pragma once

#include "atom/kernels/cuda_bench.h"

namespace atom::kernels::cuda {

inline constexpr char kDramCeiling[] = "dram";
inline constexpr char kInt8Ceiling[] = "wgmma_s8";
inline constexpr char kBFloat16Ceiling[] = "wgmma_bf16";

/// Rates per second; 0 if not measured.
double CeilingOf(const CudaCard& card, std::string_view name);

/// Fills `ceiling` and `share` from what the row counts. `multiply`: the ceiling of its operations.
void FillShare(const CudaCard& card, std::string_view multiply, CudaBenchRow& row);

}  // namespace atom::kernels::cuda
