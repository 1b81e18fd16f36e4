// One panel of 32 outputs out of a row-major weight: where loading spends its time. A panel is
// written line after line in 4 KiB at a time, from a cache line of each of its rows; different
// panels may be packed by different threads. packed_layout.h draws what comes out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "atom/core/tensor_view.h"
#include "atom/kernels/cpu/packed_layout.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::kernels::cpu {

/// Codes and scales of outputs [32 panel, 32 panel + 32); every byte of out[panel_bytes] is
/// written.
void PackIntegerPanel(const quant::QuantizedView& weight, const PackedLayout& layout, int64_t panel,
                      std::byte* out);
/// [N][K] to [K][32] of the type's 2 or 4 bytes; outputs beyond N are 0.
void PackDensePanel(const TensorView& weight, int64_t panel, std::byte* out);

}  // namespace atom::kernels::cpu
