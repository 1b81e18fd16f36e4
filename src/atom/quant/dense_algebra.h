// The dense algebra that quantization needs, as a small interface: a backend with a faster library
// may offer its own. All matrices are row-major fp32. Those of tokens, which are as large as the
// calibration text, lie in the memory of the backend that the algebra belongs to; all others on the
// host.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "atom/core/result.h"
#include "atom/core/thread_pool.h"

namespace atom::quant {

struct GptqProblem;
struct OutputError;

/// Σ alpha · aᵀ·b over many pairs of matrices of tokens [rows][k], kept where the algebra computes.
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

/// How large the tokens x[rows][k] of a window are, NaN counted as 0.
struct TokenSizes {
  std::vector<double> energies;  ///< [rows]: Σ x²
  float largest_low_bit = 0.0f;  ///< |x| in the columns before the outliers
  float largest_outlier = 0.0f;  ///< and in these
};

class DenseAlgebra {
 public:
  virtual ~DenseAlgebra() = default;

  /// Threads for what stays on the host.
  virtual ThreadPool& pool() = 0;

  // Tokens. Unless an algebra knows better, the backend's memory is the host's.
  virtual TokenSizes MeasureTokens(std::span<const float> x, int64_t rows, int64_t k,
                                   int64_t outliers);
  /// difference = (difference − x) · root of the row, where it is not empty; then x = x · root.
  virtual void WeighTokens(std::span<float> x, std::span<float> difference, int64_t k,
                           std::span<const float> roots);
  /// Begins at 0. Unless an algebra knows better, what AddGram and AddCross give.
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

  // What an algebra may do at a stretch where it computes; false: the caller does it piece by
  // piece, with the products above.
  /// The column loop of GPTQ (gptq.h).
  virtual bool RoundByGptq(const GptqProblem&) { return false; }
  /// MeasureOutputError (quantize_weight.h).
  virtual bool MeasureError(std::span<const float> /*w*/, std::span<const float> /*q*/,
                            int64_t /*n*/, int64_t /*k*/, std::span<const float> /*hessian*/,
                            OutputError& /*error*/) {
    return false;
  }
};

/// On the CPU, products by oneDNN. The result is the same, bit for bit, for any number of threads
/// and in every run (on one instruction set). 0 means ThreadPool::DefaultThreads().
std::unique_ptr<DenseAlgebra> MakeCpuAlgebra(int threads = 0);

}  // namespace atom::quant
