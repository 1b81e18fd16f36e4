// The column loop of GPTQ (Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training
// Quantization for Generative Pre-trained Transformers", ICLR 2023, arXiv 2210.17323): columns are
// rounded one after the other, and the error of each is spread over the columns that are still to
// come, so that the output on the calibration tokens changes least. The outlier columns, the last,
// absorb error too before they are rounded by the caller.
//
//        |<- done: points of their grids ->|<- block of <= 128 ->|<- to come, outliers included ->|
//   W    |                                 | one column at a time| block's error · U, one product |
#pragma once

#include <cstdint>
#include <span>

#include "atom/quant/damped_factor.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/formats.h"
#include "atom/quant/weight_groups.h"

namespace atom::quant {

/// Where the error of a rounded column goes.
enum class Spread {
  kToCome,   ///< over the columns that are still to come: GPTQ
  kNowhere,  ///< rounding to the same kind of grids
};

/// The ratios that a search for each group tries: 1, 0.975, … 0.5.
std::span<const float> GroupClipGrid();

/// A column loop's arguments, for an algebra that has one of its own (DenseAlgebra::RoundByGptq).
struct GptqProblem {
  std::span<float> w;  ///< [n][k]
  int64_t n = 0;
  int64_t k = 0;
  const WeightFormat& format;
  std::span<const float> u;  ///< [k][k], the factor
  Spread spread = Spread::kToCome;
  WeightScales& scales;
};

/// Replaces the low-bit columns of w[n][k] by points of their grids and the outlier columns by what
/// they have absorbed, unrounded. Fills scales.groups, [groups][n], one group when format.group is
/// 0; scales.rows are given. `hessian` as for QuantizeWeight, `factor` its damped factor.
///
/// With format.clip_per_group the ratio of a group (of each row, or channel_group rows together) is
/// the one of GroupClipGrid with the least Σ (w_j − point_j)² / u_jj² when the group is reached: in
/// GPTQ, 1/u_jj² is what an error of column j costs once those behind it have made up for it.
///
/// A group's grid is fitted when its first column is reached. Blocks are laid out so that all of
/// its columns then hold the error of every column before the group; columns of a group change
/// once more after the fit. Under reference_parity blocks are 128 columns always, and a group
/// narrower than that is fitted to values that lack the updates of its own block, as published.
void RoundByGptq(std::span<float> w, int64_t n, int64_t k, const WeightFormat& format,
                 std::span<const float> hessian, const DampedFactor& factor, Spread spread,
                 DenseAlgebra& algebra, WeightScales& scales);

}  // namespace atom::quant
