#include "atom/quant/token_weights.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/quant/rounding.h"

namespace atom::quant {

TokenEnergies MeasureTokens(std::span<const float> x, int64_t rows, int64_t k) {
  ATOM_CHECK(static_cast<int64_t>(x.size()) == rows * k, "{} values for {} x {}", x.size(), rows,
             k);
  TokenEnergies energies;
  if (rows == 0) return energies;
  for (int64_t row = 0; row < rows; ++row) {
    double energy = 0.0;
    for (const float value : x.subspan(static_cast<size_t>(row * k), static_cast<size_t>(k))) {
      const double finite = NanToZero(value);
      energy += finite * finite;
    }
    energies.of.push_back(energy);
  }
  std::vector<double> sorted = energies.of;
  const auto middle = sorted.begin() + (rows - 1) / 2;
  std::nth_element(sorted.begin(), middle, sorted.end());
  energies.median = *middle;
  return energies;
}

double TokenWeight(double energy, double median, double cap) {
  return energy > cap * median ? cap * median / energy : 1.0;
}

}  // namespace atom::quant
