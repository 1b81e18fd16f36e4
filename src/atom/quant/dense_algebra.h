// The dense algebra that quantization needs, as a small interface: a backend with a faster library
// may offer its own. All matrices are row-major fp32 on the host.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "atom/core/result.h"

namespace atom::quant {

/// Σ alpha · aᵀ·b over many pairs of matrices [rows][k], kept where the algebra computes.
class ProductSum {
 public:
  virtual ~ProductSum() = default;
  virtual void Add(std::span<const float> a, std::span<const float> b, int64_t rows,
                   float alpha) = 0;
  /// The sum [k][k]; ends it.
  virtual std::vector<float> Take() = 0;
};

enum class SumKind {
  kGram,   ///< a is b; of the sum only the upper triangle is defined
  kCross,  ///< a and b differ
};

class DenseAlgebra {
 public:
  virtual ~DenseAlgebra() = default;

  /// Begins at 0. Unless an algebra knows better, on the host: what AddGram and AddCross give.
  virtual std::unique_ptr<ProductSum> MakeSum(SumKind kind, int64_t k);

  /// h[K][K] += alpha * xᵀ·x, x[rows][k]. Only the upper triangle (column >= row) is defined;
  /// parts of the lower one are overwritten.
  virtual void AddGram(std::span<const float> x, int64_t rows, int64_t k, float alpha,
                       std::span<float> h) = 0;

  /// c[K][K] += alpha * aᵀ·b, a and b [rows][k].
  virtual void AddCross(std::span<const float> a, std::span<const float> b, int64_t rows, int64_t k,
                        float alpha, std::span<float> c) = 0;

  /// From the upper triangle of a symmetric h[K][K], the upper Cholesky factor U of its inverse
  /// (h⁻¹ = Uᵀ·U), zeros below the diagonal. h is taken by value and becomes U: no second K × K
  /// matrix. An Error when h is not finite or not positive definite.
  virtual Result<std::vector<float>> InverseCholesky(std::vector<float> h, int64_t k) = 0;

  /// c[m][n] -= a[m][k] · b[k][n]; rows are lda, ldb, ldc apart.
  virtual void SubtractProduct(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                               const float* b, int64_t ldb, float* c, int64_t ldc) = 0;

  /// c[m][n] -= a[m][k] · b[n][k]ᵀ.
  virtual void SubtractTransposed(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                                  const float* b, int64_t ldb, float* c, int64_t ldc) = 0;
};

/// On the CPU, products by oneDNN. The result is the same, bit for bit, for any number of threads
/// and in every run (on one instruction set). 0 means ThreadPool::DefaultThreads().
std::unique_ptr<DenseAlgebra> MakeCpuAlgebra(int threads = 0);

}  // namespace atom::quant
