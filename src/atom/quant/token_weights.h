// How much each token counts in a Hessian: a few tokens of a language model (the first, above all)
// have thousands of times the energy of the others, and would own every sum.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace atom::quant {

/// Σ x², channels ascending; a NaN counts as 0.
double TokenEnergy(std::span<const float> token);

/// Of the energies of one window's tokens the lower one of the two in the middle; 0 of none.
double MedianEnergy(std::vector<double> energies);

/// min(1, cap · median / energy); 1 where the energy is 0. REQUIRES: cap > 0.
double TokenWeight(double energy, double median, double cap);

}  // namespace atom::quant
