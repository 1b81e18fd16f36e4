// The factor that GPTQ needs: U upper triangular with h⁻¹ = Uᵀ·U. The usual road is three
// factorizations long (Cholesky, inverse, Cholesky of the inverse); this one is two: h = R·Rᵀ with
// R upper (Cholesky from the last row upwards), and then U = R⁻¹. No inverse of h is ever formed.
#pragma once

#include <cstdint>
#include <span>

#include "atom/core/result.h"
#include "atom/core/thread_pool.h"

namespace atom::quant {

/// Replaces the upper triangle of h[K][K] (the lower one is not read) by U, zeros below the
/// diagonal. Blocks on the diagonal are factored in double, the rest are fp32 products in a fixed
/// order. An Error when h is not finite or not positive definite; h is then spoilt.
Status InverseCholeskyInPlace(std::span<float> h, int64_t k, ThreadPool& pool);

}  // namespace atom::quant
