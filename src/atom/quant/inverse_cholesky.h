// The factor that GPTQ needs: U upper triangular with h⁻¹ = Uᵀ·U. The usual road is three
// factorizations long (Cholesky, inverse, Cholesky of the inverse); this one is two: h = R·Rᵀ with
// R upper (Cholesky from the last row upwards), and then U = R⁻¹. No inverse of h is ever formed.
#pragma once

#include <cstdint>
#include <span>

#include "atom/core/result.h"
#include "atom/core/thread_pool.h"

namespace atom::quant {

inline constexpr int64_t kCholeskyBlock = 128;  ///< rows and columns of a block

/// Replaces the upper triangle of a block [size][size], rows `stride` apart, size <= 128, by R⁻¹
/// (block = R·Rᵀ, R upper), zeros below the diagonal, in double; false when it is not positive
/// definite.
bool InvertDiagonalBlock(float* block, int64_t stride, int64_t size);

/// An Error that names the first element of the upper triangle that is not finite.
Status CheckUpperFinite(std::span<const float> h, int64_t k);

/// Replaces the upper triangle of h[K][K] (the lower one is not read) by U, zeros below the
/// diagonal. Blocks on the diagonal are factored in double, the rest are fp32 products in a fixed
/// order. An Error when h is not finite or not positive definite; h is then spoilt.
Status InverseCholeskyInPlace(std::span<float> h, int64_t k, ThreadPool& pool);

}  // namespace atom::quant
