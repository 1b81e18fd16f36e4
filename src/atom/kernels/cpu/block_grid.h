// How a product is cut into blocks of rows × panels, one task each.
#pragma once

#include <algorithm>
#include <cstdint>

namespace atom::kernels::cpu {

/// The largest block, in rows and panels; and in panels if one block has all rows.
struct BlockLimits {
  int64_t rows;
  int64_t panels;
  int64_t few_rows_panels;
};
/// Part of the product.
struct Block {
  int64_t first_row;
  int64_t rows;
  int64_t first_panel;
  int64_t panels;
};

/// How [rows][panels] is cut. Many rows: blocks of one size; neighbours share their weights. A
/// single block of rows waits for its weights: then the first blocks are long, which memory likes,
/// and the last ones short, so that all threads end together.
class BlockGrid {
 public:
  BlockGrid() = default;  ///< no blocks
  BlockGrid(int64_t rows, int64_t panels, int threads, BlockLimits limits)
      : rows_(rows), panels_(panels), threads_(threads), block_rows_(limits.rows) {
    if (row_blocks() > 1) {
      constexpr int64_t kBlocksPerThread = 8;
      most_panels_ = Even(panels * row_blocks() / (kBlocksPerThread * threads), limits.panels);
      count_ = row_blocks() * ((panels + most_panels_ - 1) / most_panels_);
    } else {
      most_panels_ = limits.few_rows_panels;
      for (int64_t at = 0; at < panels; at += Share(at)) ++count_;
    }
  }

  int64_t count() const { return count_; }
  Block operator[](int64_t index) const {
    if (row_blocks() == 1) {
      int64_t at = 0;
      for (; index > 0; --index) at += Share(at);
      return {0, rows_, at, Share(at)};
    }
    Block block;
    block.first_row = index % row_blocks() * block_rows_;
    block.rows = std::min(block_rows_, rows_ - block.first_row);
    block.first_panel = index / row_blocks() * most_panels_;
    block.panels = std::min(most_panels_, panels_ - block.first_panel);
    return block;
  }

 private:
  static int64_t Even(int64_t panels, int64_t most) {
    return std::clamp<int64_t>(panels / 2 * 2, 2, most);
  }
  int64_t row_blocks() const { return (rows_ + block_rows_ - 1) / block_rows_; }
  /// Panels of the block that begins at `panel`: half of what would be the thread's part.
  int64_t Share(int64_t panel) const {
    const int64_t left = panels_ - panel;
    return std::min(left, Even(left / (2 * threads_), most_panels_));
  }

  int64_t rows_ = 0;
  int64_t panels_ = 0;
  int threads_ = 1;
  int64_t block_rows_ = 1;
  int64_t most_panels_ = 0;
  int64_t count_ = 0;
};

}  // namespace atom::kernels::cpu
