#include "atom/quant/gptq.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "atom/core/check.h"
#include "atom/quant/grid.h"
#include "atom/quant/weight_groups.h"

namespace atom::quant {
namespace {

constexpr int64_t kBlockColumns = 128;
/// Rows that the column loop works on at a time: 64 × 128 floats stay in the first caches.
constexpr int64_t kRowsAtATime = 64;
constexpr std::array kGroupClips = {1.0f,   0.975f, 0.95f,  0.925f, 0.9f,   0.875f, 0.85f,
                                    0.825f, 0.8f,   0.775f, 0.75f,  0.725f, 0.7f,   0.675f,
                                    0.65f,  0.625f, 0.6f,   0.575f, 0.55f,  0.525f, 0.5f};

struct Block {
  int64_t begin;
  int64_t end;
  int64_t width() const { return end - begin; }
};

/// Columns [0, low_bit) in blocks of at most 128. A group lies inside one block, or begins one.
std::vector<Block> LayOutBlocks(int64_t low_bit, int64_t group, bool parity) {
  std::vector<Block> blocks;
  const bool plain = parity || group == 0;
  const bool narrow = group <= kBlockColumns;
  const int64_t stride = plain ? kBlockColumns : narrow ? kBlockColumns / group * group : group;
  for (int64_t first = 0; first < low_bit; first += stride) {
    const int64_t last = std::min(first + stride, low_bit);
    for (int64_t begin = first; begin < last; begin += kBlockColumns) {
      blocks.push_back({begin, std::min(begin + kBlockColumns, last)});
    }
  }
  return blocks;
}

class ColumnLoop {
 public:
  ColumnLoop(std::span<float> w, const WeightGroups& groups, const WeightFormat& format,
             std::span<const float> u, Spread spread, WeightScales& scales)
      : w_(w),
        groups_(groups),
        format_(format),
        u_(u),
        spread_(spread),
        scales_(scales),
        rows_at_a_time_(std::max<int64_t>(1, kRowsAtATime / format.channel_group) *
                        format.channel_group),
        errors_(static_cast<size_t>(groups.n * kBlockColumns)),
        columns_(static_cast<size_t>(kBlockColumns * rows_at_a_time_)),
        error_(static_cast<size_t>(rows_at_a_time_)),
        clip_error_(error_.size()),
        best_(error_.size()) {
    for (std::vector<float>* part : {&scale_, &inv_, &low_, &high_}) {
      part->resize(static_cast<size_t>(groups.n));
    }
  }

  void Run(DenseAlgebra& algebra) {
    if (format_.group == 0 && groups_.low_bit > 0) {
      for (int64_t row = 0; row < groups_.n; row += rows_at_a_time_) {
        const int64_t rows = std::min(rows_at_a_time_, groups_.n - row);
        Fit(0, row, rows, WeightColumns(0, row, rows));
      }
    }
    for (const Block& block :
         LayOutBlocks(groups_.low_bit, format_.group, format_.reference_parity)) {
      for (int64_t row = 0; row < groups_.n; row += rows_at_a_time_) {
        RoundBlock(block, row, std::min(rows_at_a_time_, groups_.n - row));
      }
      if (spread_ == Spread::kNowhere) continue;
      const int64_t k = groups_.k;
      algebra.SubtractProduct(groups_.n, k - block.end, block.width(), errors_.data(),
                              kBlockColumns, u_.data() + block.begin * k + block.end, k,
                              w_.data() + block.end, k);
    }
  }

 private:
  /// Rows [row, row + rows) of one block, columns side by side in `columns_`: [128][rows].
  void RoundBlock(const Block& block, int64_t row, int64_t rows) {
    const int64_t k = groups_.k;
    for (int64_t i = 0; i < block.width(); ++i) {
      for (int64_t r = 0; r < rows; ++r) {
        Column(i, rows)[static_cast<size_t>(r)] = Weight(row + r, block.begin + i);
      }
    }
    for (int64_t i = 0; i < block.width(); ++i) {
      const int64_t column = block.begin + i;
      if (format_.group > 0 && column % format_.group == 0) FitGroup(block, i, row, rows);
      RoundOneColumn(i, row, rows, u_[static_cast<size_t>(column * k + column)]);
      if (spread_ == Spread::kNowhere) continue;
      for (int64_t j = i + 1; j < block.width(); ++j) {
        SubtractError(u_[static_cast<size_t>(column * k + block.begin + j)], Column(j, rows));
      }
    }
    for (int64_t i = 0; i < block.width(); ++i) {
      for (int64_t r = 0; r < rows; ++r) {
        Weight(row + r, block.begin + i) = Column(i, rows)[static_cast<size_t>(r)];
      }
    }
  }

  /// Column i of the block becomes points; its error, per unit of u_ii, goes to error_ and errors_.
  void RoundOneColumn(int64_t i, int64_t row, int64_t rows, float u_ii) {
    const std::span<float> column = Column(i, rows);
    const std::span<float> point(error_.data(), column.size());
    RoundColumn(format_.number, GridsOf(row, rows), column, point);
    for (size_t r = 0; r < column.size(); ++r) {
      const float rounded = point[r];
      error_[r] = (column[r] - rounded) / u_ii;
      column[r] = rounded;
    }
    for (int64_t r = 0; r < rows; ++r) {
      errors_[static_cast<size_t>((row + r) * kBlockColumns + i)] = error_[static_cast<size_t>(r)];
    }
  }

  void SubtractError(float u, std::span<float> column) {
    const float* error = error_.data();
    for (size_t r = 0; r < column.size(); ++r) column[r] -= u * error[r];
  }

  /// Fits the grids of the group that begins at column i of the block.
  void FitGroup(const Block& block, int64_t i, int64_t row, int64_t rows) {
    const int64_t column = block.begin + i;
    // Beyond the block only w_ has the columns; and as published w_ lacks the block's own updates.
    const bool from_weight = format_.reference_parity || groups_.width > block.width() - i;
    const int64_t group = column / groups_.width;
    Fit(group, row, rows,
        from_weight
            ? WeightColumns(group, row, rows)
            : std::span<const float>(columns_).subspan(static_cast<size_t>(i * rows),
                                                       static_cast<size_t>(groups_.width * rows)));
  }

  /// The group's columns of some rows as w_ has them, side by side: [width][rows].
  std::span<const float> WeightColumns(int64_t group, int64_t row, int64_t rows) {
    group_columns_.resize(static_cast<size_t>(groups_.width * rows));
    for (int64_t j = 0; j < groups_.width; ++j) {
      for (int64_t r = 0; r < rows; ++r) {
        group_columns_[static_cast<size_t>(j * rows + r)] =
            Weight(row + r, group * groups_.width + j);
      }
    }
    return group_columns_;
  }

  /// The grids of a group for rows [row, row + rows), its values [width][rows].
  void Fit(int64_t group, int64_t row, int64_t rows, std::span<const float> values) {
    const int64_t together = format_.channel_group;
    std::vector<ValueRange> ranges(static_cast<size_t>(rows / together));
    for (int64_t j = 0; j < groups_.width; ++j) {
      for (size_t i = 0; i < ranges.size(); ++i) {
        ranges[i].Add(
            values.subspan(static_cast<size_t>(j * rows) + i * static_cast<size_t>(together),
                           static_cast<size_t>(together)));
      }
    }
    const auto set = [&](size_t i, float clip) {
      SetGrid(group, row + static_cast<int64_t>(i) * together, ranges[i], clip);
    };
    if (!format_.clip_per_group) {
      for (size_t i = 0; i < ranges.size(); ++i) set(i, format_.clip);
      return;
    }
    std::fill(best_.begin(), best_.end(), Best{});
    for (const float clip : kGroupClips) {
      for (size_t i = 0; i < ranges.size(); ++i) set(i, clip);
      MeasureErrors(group, row, rows, values);
      for (size_t i = 0; i < ranges.size(); ++i) {
        float error = 0.0f;
        for (int64_t r = 0; r < together; ++r) {
          error += clip_error_[i * static_cast<size_t>(together) + static_cast<size_t>(r)];
        }
        if (error < best_[i].error) best_[i] = {error, clip};
      }
    }
    for (size_t i = 0; i < ranges.size(); ++i) set(i, best_[i].clip);
  }

  /// clip_error_[r] = Σ (value − point)² / u_jj² on the grids that are set, columns ascending.
  void MeasureErrors(int64_t group, int64_t row, int64_t rows, std::span<const float> values) {
    std::fill(clip_error_.begin(), clip_error_.end(), 0.0f);
    const GridColumns grids = GridsOf(row, rows);
    const std::span<float> point(error_.data(), static_cast<size_t>(rows));
    for (int64_t j = 0; j < groups_.width; ++j) {
      const int64_t k = group * groups_.width + j;
      const float u = u_[static_cast<size_t>(k * groups_.k + k)];
      const float weight = 1.0f / (u * u);
      const auto column = values.subspan(static_cast<size_t>(j * rows), point.size());
      RoundColumn(format_.number, grids, column, point);
      for (size_t r = 0; r < point.size(); ++r) {
        const float difference = column[r] - point[r];
        clip_error_[r] += difference * difference * weight;
      }
    }
  }

  /// The grid of `channel_group` rows from `row` on.
  void SetGrid(int64_t group, int64_t row, const ValueRange& range, float clip) {
    GroupFormat group_format = ToGroupFormat(format_);
    group_format.clip = clip;
    group_format.row_scale = scales_.RowScaleOf(row);
    const Grid grid = GptqGrid(group_format, range);
    for (int64_t r = row; r < row + format_.channel_group; ++r) {
      const auto index = static_cast<size_t>(r);
      scale_[index] = grid.scale;
      inv_[index] = grid.inv;
      low_[index] = grid.low;
      high_[index] = grid.high;
      scales_.groups[static_cast<size_t>(group * groups_.n + r)] = grid.scale;
    }
  }

  GridColumns GridsOf(int64_t row, int64_t rows) const {
    const auto part = [&](const std::vector<float>& all) {
      return std::span(all).subspan(static_cast<size_t>(row), static_cast<size_t>(rows));
    };
    return {part(scale_), part(inv_), part(low_), part(high_)};
  }

  float& Weight(int64_t row, int64_t column) {
    return w_[static_cast<size_t>(row * groups_.k + column)];
  }
  std::span<float> Column(int64_t i, int64_t rows) {
    return std::span(columns_).subspan(static_cast<size_t>(i * rows), static_cast<size_t>(rows));
  }

  std::span<float> w_;
  const WeightGroups& groups_;
  const WeightFormat& format_;
  std::span<const float> u_;
  Spread spread_;
  WeightScales& scales_;
  int64_t rows_at_a_time_;
  std::vector<float> errors_;   // [n][128]: the block's errors, for the columns to come
  std::vector<float> columns_;  // [128][rows_at_a_time_]
  std::vector<float> error_;    // [rows_at_a_time_]: of the column just rounded
  std::vector<float> scale_, inv_, low_, high_;  // [n]: the current group's grids
  // Of a fit: a group's columns where no block has them all, errors [rows], the best of each grid.
  struct Best {
    float error = std::numeric_limits<float>::infinity();
    float clip = 1.0f;
  };
  std::vector<float> group_columns_;
  std::vector<float> clip_error_;
  std::vector<Best> best_;
};

}  // namespace

std::span<const float> GroupClipGrid() { return kGroupClips; }

void RoundByGptq(std::span<float> w, int64_t n, int64_t k, const WeightFormat& format,
                 std::span<const float> hessian, const DampedFactor& factor, Spread spread,
                 DenseAlgebra& algebra, WeightScales& scales) {
  ATOM_CHECK(static_cast<int64_t>(hessian.size()) == k * k && factor.u.size() == hessian.size(),
             "a Hessian of {} values, a factor of {} for k = {}", hessian.size(), factor.u.size(),
             k);
  if (format.reference_parity) {
    for (int64_t j = 0; j < k; ++j) {
      if (hessian[static_cast<size_t>(j * k + j)] != 0.0f) continue;
      for (int64_t row = 0; row < n; ++row) w[static_cast<size_t>(row * k + j)] = 0.0f;
    }
  }
  if (algebra.RoundByGptq({w, n, k, format, factor.u, spread, scales})) return;
  const WeightGroups groups(n, k, format);
  ColumnLoop(w, groups, format, factor.u, spread, scales).Run(algebra);
}

}  // namespace atom::quant
