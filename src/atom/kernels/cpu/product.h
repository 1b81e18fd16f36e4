// One weight's part of a Linear or of a GroupedLinear: rows of input times panels of outputs, in
// blocks (block_grid.h), one task each. Sums stay in scratch until they are whole, so that y is
// touched once, whatever its OutputMode.
#pragma once

#include <cstdint>
#include <span>

#include "atom/kernels/cpu/block_grid.h"
#include "atom/kernels/cpu/ops.h"

namespace atom::kernels::cpu {

/// Rows of an activation, apart as its own are; perhaps gathered.
struct InputRows {
  const CpuActivation* format = nullptr;
  int64_t count = 0;
  const float* dense = nullptr;
  const int8_t* codes = nullptr;
  const float* scales = nullptr;

  static InputRows AllOf(const CpuActivation& x) {
    return {&x, x.rows(), x.DenseRow(0), x.CodesRow(0), x.ScalesRow(0)};
  }
  const float* DenseRow(int64_t row) const { return dense + row * format->stride; }
  const int8_t* CodesRow(int64_t row) const { return codes + row * format->codes_stride; }
  const float* ScalesRow(int64_t row) const { return scales + row * format->scales_stride; }
};

/// Where the codes that meet the weight's outliers lie: in their own section with their own scale,
/// or, where the activation has one scale a token and no outliers, behind the others.
struct OutlierPlace {
  int64_t offset = 0;
  int64_t scale = 0;
};

/// Sums that a row of codes starts with: two a group, one of the outliers. Folded: two.
inline int64_t StartsOf(int64_t groups) { return 2 * groups + 1; }
inline constexpr int64_t kFoldedStarts = 2;

struct Product {
  const CpuContext* context = nullptr;
  InputRows x;
  const CpuWeight* weight = nullptr;
  float* y = nullptr;  ///< of row 0
  int64_t y_stride = 0;
  const int32_t* y_rows = nullptr;  ///< [rows] of y that the rows of x go to, or null: theirs
  OutputMode mode = OutputMode::kOverwrite;
  BlockGrid grid;
  // Of integers:
  OutlierPlace outliers;
  const int32_t* sums = nullptr;  ///< what the sums of every row start with, [M][starts()]

  bool two_level() const { return weight->layout.has_value() && weight->layout->two_level; }
  bool folded() const {
    return two_level() && integer() && weight->layout->group % 4 == 0 &&
           x.count >= context->kernels.folded_from_rows;
  }
  /// Do all rows of a block share weights in scratch?
  bool shared() const {
    return folded() ||
           (integer() && !two_level() && x.count >= context->kernels.unpacked_from_rows);
  }
  int64_t starts() const { return folded() ? kFoldedStarts : StartsOf(weight->layout->groups); }
  bool dense() const { return !weight->layout.has_value(); }
  bool integer() const { return !dense() && !x.format->format().dense(); }

  /// Which weight and which rows: then `grid` and, of integers, `outliers` follow.
  void Plan(int threads);
  /// What the sums of these rows start with, to sums[first, end).
  void StartSums(int64_t first, int64_t end, int32_t* to) const;
};

/// May weights share what their sums start with?
bool SameColumns(const PackedLayout& a, const PackedLayout& b);

/// The blocks of all products, in one parallel loop.
void RunProducts(const CpuContext& context, std::span<const Product> products);
/// Bytes of a thread's scratch for blocks of such a weight; group 0: a dense one.
size_t ProductScratch(int64_t weight_group, int64_t k);

}  // namespace atom::kernels::cpu
