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

#include "atom/core/result.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/formats.h"
#include "atom/quant/weight_groups.h"

namespace atom::quant {

/// Replaces the low-bit columns of w[n][k] by points of their grids and the outlier columns by what
/// they have absorbed, unrounded. Fills scales.groups, [groups][n], one group when format.group is
/// 0; scales.rows are given. `hessian` as for QuantizeWeight. Returns the damping that succeeded.
///
/// A group's grid is fitted when its first column is reached. Blocks are laid out so that all of
/// its columns then hold the error of every column before the group; columns of a group change
/// once more after the fit. Under reference_parity blocks are 128 columns always, and a group
/// narrower than that is fitted to values that lack the updates of its own block, as published.
Result<double> RoundByGptq(std::span<float> w, int64_t n, int64_t k, const WeightFormat& format,
                           std::span<const float> hessian, DenseAlgebra& algebra,
                           WeightScales& scales);

}  // namespace atom::quant
