// How much each token counts in a Hessian: a few tokens of a language model (the first, above all)
// have thousands of times the energy of the others, and would own every sum.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace atom::quant {

/// Of one window's inputs x[rows][k] of a linear.
struct TokenEnergies {
  std::vector<double> of;  ///< [rows]: Σ x², channels ascending; a NaN counts as 0
  double median = 0.0;     ///< the lower one of the two in the middle
};
TokenEnergies MeasureTokens(std::span<const float> x, int64_t rows, int64_t k);

/// min(1, cap · median / energy); 1 where the energy is 0. REQUIRES: cap > 0.
double TokenWeight(double energy, double median, double cap);

}  // namespace atom::quant
