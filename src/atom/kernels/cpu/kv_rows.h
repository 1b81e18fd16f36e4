// Where attention finds K and V of one head: pages of a sequence, by its block table.
#pragma once

#include <algorithm>

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {

/// One KV head of one sequence.
struct HeadPages {
  const KvLayer& kv;
  const int32_t* blocks;  ///< pages of the sequence, in the order of positions
  int64_t head;

  HeadPages(const KvLayer& layer, const Batch& batch, int64_t sequence, int64_t kv_head)
      : kv(layer), blocks(batch.block_tables.data() + sequence * batch.max_blocks), head(kv_head) {}

  /// K (0) or V (1) of page `index`, `count` positions of it.
  KvRows Rows(int which, int64_t index, int64_t count) const {
    const KvPageLayout& layout = kv.layout;
    const std::byte* page =
        static_cast<const std::byte*>(kv.data.data()) + blocks[index] * layout.PageBytes();
    const KvRow first{which, head, 0};
    const int64_t offset = which == 0 ? layout.KeyOffset(head) : layout.ValueOffset(head, 0);
    KvRows rows;
    rows.values = reinterpret_cast<const uint8_t*>(page + offset);
    rows.row_bytes = layout.RowBytes();
    if (layout.quantized()) {
      rows.scales = reinterpret_cast<const Half*>(page + layout.ScaleOffset(first));
      rows.zeros = reinterpret_cast<const Half*>(page + layout.ZeroOffset(first));
    }
    rows.count = count;
    rows.head_dim = layout.head_dim;
    return rows;
  }
};

}  // namespace atom::kernels::cpu
