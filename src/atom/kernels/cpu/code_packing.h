// Packing of a CodeMatrix into the panels of code_layout.h.
#pragma once

#include <cstddef>

#include "atom/kernels/cpu/code_layout.h"
#include "atom/quant/code_matrix.h"

namespace atom::kernels::cpu {

CodeLayout MakeCodeLayout(const quant::CodeMatrix& weight);
/// `out` has layout.panel_bytes; every byte of them is written.
void PackCodePanel(const quant::CodeMatrix& weight, const CodeLayout& layout, int64_t panel,
                   std::byte* out);

}  // namespace atom::kernels::cpu
