// One position of one head in a KV page (kv_page.h), written and read; K and V are treated alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "atom/kernels/kv_page.h"

namespace atom::kernels::reference {

/// Quantizes or rounds head_dim values to what the page stores.
void StoreKvRow(const KvPageLayout& layout, const KvRow& row, std::span<const float> values,
                std::byte* page);
/// What is stored, widened or dequantized: scale * (code - zero), exact in fp32.
void LoadKvRow(const KvPageLayout& layout, const KvRow& row, const std::byte* page,
               std::span<float> values);

}  // namespace atom::kernels::reference
