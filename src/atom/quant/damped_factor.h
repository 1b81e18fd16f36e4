// The factor of the damped Hessian that GPTQ spreads errors with, and the retries when the Hessian
// of too few calibration tokens has none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/core/result.h"
#include "atom/quant/dense_algebra.h"

namespace atom::quant {

struct DampedFactor {
  std::vector<float> u;  ///< [k][k] upper; the inverse of the damped Hessian is uᵀ·u
  double damping = 0.0;  ///< the share of the mean diagonal that was added
};

/// Adds first_damping · mean(diagonal) to the diagonal and factors; on failure tenfold, up to 1.
/// Dead columns (diagonal 0) get the mean of the live ones (published: 1) before.
Result<DampedFactor> FactorDamped(std::span<const float> hessian, int64_t k, double first_damping,
                                  bool reference_parity, DenseAlgebra& algebra);

}  // namespace atom::quant
