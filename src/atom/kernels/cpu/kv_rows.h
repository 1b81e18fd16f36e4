// Where attention finds K and V of one head: pages of a sequence by its page list, and its exact
// pages beside the last of them.
#pragma once

#include <algorithm>

#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {

/// Page numbers of a sequence, from its page `first` on.
struct PageList {
  std::span<const int32_t> numbers;
  int64_t first = 0;

  static PageList Of(const StepView& step, int64_t sequence) {
    return {Part(step.pages, step.page_starts, sequence), 0};
  }
  static PageList ExactOf(const StepView& step, int64_t sequence) {
    const std::span<const int32_t> all = Part(step.pages, step.page_starts, sequence);
    const std::span<const int32_t> exact = Part(step.exact_pages, step.exact_starts, sequence);
    return {exact, std::ssize(all) - std::ssize(exact)};
  }

 private:
  static std::span<const int32_t> Part(std::span<const int32_t> values,
                                       std::span<const int32_t> starts, int64_t sequence) {
    const auto s = static_cast<size_t>(sequence);
    const auto first = static_cast<size_t>(starts[s]);
    return values.subspan(first, static_cast<size_t>(starts[s + 1]) - first);
  }
};

/// One KV head of one sequence. Offsets are worked out once: a tile asks for 16 of them.
class HeadPages {
 public:
  HeadPages(const CpuKvLayer& layer, const PageList& pages, int64_t kv_head)
      : data_(static_cast<const std::byte*>(layer.data.data())),
        pages_(pages),
        page_bytes_(layer.layout.PageBytes()),
        row_bytes_(layer.layout.RowBytes()),
        head_dim_(layer.layout.head_dim),
        quantized_(layer.layout.quantized()),
        integer_zeros_(layer.layout.format.offset == quant::KvOffset::kInteger),
        parts_{PartOf(layer.layout, 0, kv_head), PartOf(layer.layout, 1, kv_head)} {}

  /// K (0) or V (1) of page `index`, `count` positions of it.
  KvRows Rows(int which, int64_t index, int64_t count) const {
    const std::byte* page =
        data_ + pages_.numbers[static_cast<size_t>(index - pages_.first)] * page_bytes_;
    const Part& part = parts_[which];
    KvRows rows;
    rows.values = reinterpret_cast<const uint8_t*>(page + part.values);
    rows.row_bytes = row_bytes_;
    if (quantized_) {
      rows.scales = reinterpret_cast<const Half*>(page + part.scales);
      rows.offsets = reinterpret_cast<const Half*>(page + part.offsets);
      rows.integer_zeros = integer_zeros_;
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
    int64_t offsets;
  };
  static Part PartOf(const KvPageLayout& layout, int which, int64_t kv_head) {
    const KvRow first{which, kv_head, 0};
    return {which == 0 ? layout.KeyOffset(kv_head) : layout.ValueOffset(kv_head, 0),
            layout.ScaleOffset(first), layout.ZeroOffset(first)};
  }

  const std::byte* data_;
  PageList pages_;
  int64_t page_bytes_;
  int64_t row_bytes_;
  int64_t head_dim_;
  bool quantized_;
  bool integer_zeros_;
  Part parts_[2];
};

}  // namespace atom::kernels::cpu
