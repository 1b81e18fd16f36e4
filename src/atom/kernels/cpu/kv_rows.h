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
        storage_(layer.layout.storage()),
        quantized_(layer.layout.quantized()),
        integer_zeros_(layer.layout.format.offset == quant::KvOffset::kInteger),
        parts_{PartOf(layer.layout, 0, kv_head), PartOf(layer.layout, 1, kv_head)} {}

  quant::KvStorage storage() const { return storage_; }
  bool quantized() const { return quantized_; }

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
  quant::KvStorage storage_;
  bool quantized_;
  bool integer_zeros_;
  Part parts_[2];
};

/// Positions of a tile that a query reads, counted from the tile's first: [begin, end), or none.
struct TilePart {
  int64_t begin = 0;
  int64_t end = 0;

  bool empty() const { return begin >= end; }
  /// Of the positions [from, to) of a sequence in the tile from `first` on.
  static TilePart Of(int64_t first, int64_t from, int64_t to) {
    return {std::max<int64_t>(0, from - first), std::min(kTilePositions, to - first)};
  }
};

/// What a query at one position reads: [begin, exact_from) as the pages hold it, [exact_from, end)
/// as fp16.
struct ReadPositions {
  int64_t begin = 0;
  int64_t exact_from = 0;
  int64_t end = 0;

  static ReadPositions Of(const AttentionShape& shape, const quant::KvFormat& format,
                          int64_t position) {
    const int64_t end = position + 1;
    const int64_t begin = shape.FirstVisible(position);
    return {begin, std::clamp(format.FirstExact(position), begin, end), end};
  }
  TilePart In(int64_t first, bool exact) const {
    return exact ? TilePart::Of(first, exact_from, end) : TilePart::Of(first, begin, exact_from);
  }
};

/// The pages of a tile, and those of the next one, of which [begin, end) are seen; pages that
/// nobody sees are replaced by one that may be read.
template <class Tile>
void PointAtPages(const HeadPages& pages, int64_t first, int64_t begin, int64_t end, Tile& tile) {
  const int64_t first_page = begin / kKvPagePositions;
  const int64_t last_page = (end - 1) / kKvPagePositions;
  for (int64_t i = 0; i < kTilePages; ++i) {
    const int64_t page = first / kKvPagePositions + i;
    const int64_t seen = std::clamp(page, first_page, last_page);
    tile.keys[i] = pages.Rows(0, seen, kKvPagePositions);
    tile.values[i] = pages.Rows(1, seen, kKvPagePositions);
    if (page + kTilePages > last_page) continue;
    tile.next_keys[i] = pages.Rows(0, page + kTilePages, 0).values;
    tile.next_values[i] = pages.Rows(1, page + kTilePages, 0).values;
  }
}

}  // namespace atom::kernels::cpu
