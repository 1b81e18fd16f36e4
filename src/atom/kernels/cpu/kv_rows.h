// Where attention finds K and V of one head: pages of a sequence, by its page list.
#pragma once

#include <algorithm>

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {

/// One KV head of one sequence. Offsets are worked out once: a tile asks for 16 of them.
class HeadPages {
 public:
  HeadPages(const CpuKvLayer& layer, const StepView& step, int64_t sequence, int64_t kv_head)
      : data_(static_cast<const std::byte*>(layer.data.data())),
        pages_(step.pages.data() + step.page_starts[static_cast<size_t>(sequence)]),
        page_bytes_(layer.layout.PageBytes()),
        row_bytes_(layer.layout.RowBytes()),
        head_dim_(layer.layout.head_dim),
        quantized_(layer.layout.quantized()),
        parts_{PartOf(layer.layout, 0, kv_head), PartOf(layer.layout, 1, kv_head)} {}

  /// K (0) or V (1) of page `index`, `count` positions of it.
  KvRows Rows(int which, int64_t index, int64_t count) const {
    const std::byte* page = data_ + pages_[index] * page_bytes_;
    const Part& part = parts_[which];
    KvRows rows;
    rows.values = reinterpret_cast<const uint8_t*>(page + part.values);
    rows.row_bytes = row_bytes_;
    if (quantized_) {
      rows.scales = reinterpret_cast<const Half*>(page + part.scales);
      rows.zeros = reinterpret_cast<const Half*>(page + part.zeros);
    }
    rows.count = count;
    rows.head_dim = head_dim_;
    return rows;
  }

 private:
  /// Offsets inside a page.
  struct Part {
    int64_t values;
    int64_t scales;
    int64_t zeros;
  };
  static Part PartOf(const KvPageLayout& layout, int which, int64_t kv_head) {
    const KvRow first{which, kv_head, 0};
    return {which == 0 ? layout.KeyOffset(kv_head) : layout.ValueOffset(kv_head, 0),
            layout.ScaleOffset(first), layout.ZeroOffset(first)};
  }

  const std::byte* data_;
  const int32_t* pages_;  // pages of the sequence, in the order of positions
  int64_t page_bytes_;
  int64_t row_bytes_;
  int64_t head_dim_;
  bool quantized_;
  Part parts_[2];
};

}  // namespace atom::kernels::cpu
