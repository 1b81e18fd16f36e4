#include "atom/quant/token_weights.h"

#include <algorithm>

#include "atom/quant/rounding.h"

namespace atom::quant {

double TokenEnergy(std::span<const float> token) {
  double energy = 0.0;
  for (const float value : token) {
    const double finite = NanToZero(value);
    energy += finite * finite;
  }
  return energy;
}

double MedianEnergy(std::vector<double> energies) {
  if (energies.empty()) return 0.0;
  const auto middle = energies.begin() + (std::ssize(energies) - 1) / 2;
  std::nth_element(energies.begin(), middle, energies.end());
  return *middle;
}

double TokenWeight(double energy, double median, double cap) {
  return energy > cap * median ? cap * median / energy : 1.0;
}

}  // namespace atom::quant
