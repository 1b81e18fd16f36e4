#include "atom/quant/damped_factor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "atom/core/check.h"

namespace atom::quant {
namespace {

/// The diagonal before damping. Dead columns get the mean of the others (published: 1), which
/// leaves the mean as it is, and the result independent of the Hessian's factor.
Result<std::vector<float>> LiveDiagonal(std::span<const float> hessian, int64_t k, bool parity) {
  std::vector<float> diagonal(static_cast<size_t>(k));
  double sum = 0.0;
  int64_t live = 0;
  for (int64_t j = 0; j < k; ++j) {
    const float value = hessian[static_cast<size_t>(j * k + j)];
    if (!std::isfinite(value) || value < 0.0f) {
      return MakeError("the Hessian's diagonal element {} is {}, expected a finite value >= 0", j,
                       value);
    }
    diagonal[static_cast<size_t>(j)] = value;
    sum += value;
    live += value > 0.0f ? 1 : 0;
  }
  const double mean = live == 0 ? 1.0 : sum / static_cast<double>(live);
  const float substitute = parity ? 1.0f : static_cast<float>(mean);
  std::replace(diagonal.begin(), diagonal.end(), 0.0f, substitute);
  return diagonal;
}

}  // namespace

Result<DampedFactor> FactorDamped(std::span<const float> hessian, int64_t k, double first_damping,
                                  bool reference_parity, DenseAlgebra& algebra) {
  ATOM_CHECK(static_cast<int64_t>(hessian.size()) == k * k, "a Hessian of {} values for k = {}",
             hessian.size(), k);
  Result<std::vector<float>> diagonal = LiveDiagonal(hessian, k, reference_parity);
  if (!diagonal.ok()) return diagonal.error();
  double mean = 0.0;
  for (const float value : *diagonal) mean += value / static_cast<double>(k);

  constexpr double kSmallestRetry = 1e-4;  // after a damping of 0
  for (double damping = first_damping;;
       damping = std::min(1.0, std::max(damping * 10.0, kSmallestRetry))) {
    std::vector<float> damped(hessian.begin(), hessian.end());
    for (int64_t j = 0; j < k; ++j) {
      damped[static_cast<size_t>(j * k + j)] =
          (*diagonal)[static_cast<size_t>(j)] + static_cast<float>(damping * mean);
    }
    Result<std::vector<float>> u = algebra.InverseCholesky(std::move(damped), k);
    if (u.ok()) return DampedFactor{std::move(u).value(), damping};
    if (damping >= 1.0) {
      return MakeError("GPTQ found no factor of the Hessian with a damping up to {}: {}", damping,
                       u.error().message);
    }
  }
}

}  // namespace atom::quant
