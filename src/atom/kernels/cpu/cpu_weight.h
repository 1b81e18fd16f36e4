// A weight as the cpu backend keeps it: panels of 32 outputs, packed codes (packed_layout.h), codes
// of others (code_layout.h), or values in the type that they came in, [panel][K][32]. One layout
// serves every instruction set.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "atom/core/tensor_view.h"
#include "atom/core/thread_pool.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/cpu/aligned_memory.h"
#include "atom/kernels/cpu/code_layout.h"
#include "atom/kernels/cpu/packed_layout.h"
#include "atom/quant/code_matrix.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::kernels::cpu {

struct CpuWeight final : PackedWeight {
  CpuWeight(int64_t rows, int64_t columns) : PackedWeight(rows, columns) {}
  /// REQUIRES: made by a cpu backend.
  static const CpuWeight& Of(const PackedWeight& weight);

  int64_t panels() const { return (n() + kPanelOutputs - 1) / kPanelOutputs; }

  std::optional<PackedLayout> layout;  ///< of packed codes
  std::optional<CodeLayout> codes;     ///< of those of others
  std::vector<int32_t> groups_of;      ///< [K] the group of each input, of such; or empty
  DType dtype = DType::kF32;           ///< of dense values
  AlignedMemory data;
  std::vector<float> bias;  ///< [N] or empty
};

std::unique_ptr<CpuWeight> PackIntegerWeight(const quant::QuantizedView& weight,
                                             std::span<const float> bias, ThreadPool& pool);
/// F32, F16 or BF16.
std::unique_ptr<CpuWeight> PackDenseWeight(const TensorView& weight, std::span<const float> bias,
                                           ThreadPool& pool);
std::unique_ptr<CpuWeight> PackCodeWeight(const quant::CodeMatrix& weight,
                                          std::span<const float> bias, ThreadPool& pool);
/// REQUIRES: weight.layout.
quant::QuantizedMatrix UnpackIntegerWeight(const CpuWeight& weight);

}  // namespace atom::kernels::cpu
