#include "atom/quant/dense_algebra.h"

#include <algorithm>
#include <utility>

#include "atom/core/check.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/inverse_cholesky.h"
#include "atom/quant/sgemm.h"
#include "atom/quant/token_weights.h"

namespace atom::quant {
namespace {

class HostSum final : public ProductSum {
 public:
  HostSum(DenseAlgebra& algebra, SumKind kind, int64_t k)
      : algebra_(algebra), kind_(kind), k_(k), sum_(static_cast<size_t>(k * k), 0.0f) {}

  void Add(std::span<const float> a, std::span<const float> b, int64_t rows, float alpha) override {
    if (kind_ == SumKind::kGram) return algebra_.AddGram(a, rows, k_, alpha, sum_);
    algebra_.AddCross(a, b, rows, k_, alpha, sum_);
  }
  std::vector<float> Take() override { return std::move(sum_); }

 private:
  DenseAlgebra& algebra_;
  SumKind kind_;
  int64_t k_;
  std::vector<float> sum_;
};

class CpuAlgebra final : public DenseAlgebra {
 public:
  explicit CpuAlgebra(int threads) : pool_(threads) {}

  ThreadPool& pool() override { return pool_; }

  void AddGram(std::span<const float> x, int64_t rows, int64_t k, float alpha,
               std::span<float> h) override {
    ATOM_CHECK(
        static_cast<int64_t>(x.size()) == rows * k && static_cast<int64_t>(h.size()) == k * k,
        "x has {} values, h {}, for rows = {}, k = {}", x.size(), h.size(), rows, k);
    MultiplyUpper(pool_, {.transpose_a = true,
                          .m = k,
                          .n = k,
                          .k = rows,
                          .alpha = alpha,
                          .a = x.data(),
                          .lda = k,
                          .b = x.data(),
                          .ldb = k,
                          .beta = 1.0f,
                          .c = h.data(),
                          .ldc = k});
  }

  void AddCross(std::span<const float> a, std::span<const float> b, int64_t rows, int64_t k,
                float alpha, std::span<float> c) override {
    ATOM_CHECK(static_cast<int64_t>(a.size()) == rows * k && b.size() == a.size() &&
                   static_cast<int64_t>(c.size()) == k * k,
               "a has {} values, b {}, c {}, for rows = {}, k = {}", a.size(), b.size(), c.size(),
               rows, k);
    Multiply(pool_, {.transpose_a = true,
                     .m = k,
                     .n = k,
                     .k = rows,
                     .alpha = alpha,
                     .a = a.data(),
                     .lda = k,
                     .b = b.data(),
                     .ldb = k,
                     .beta = 1.0f,
                     .c = c.data(),
                     .ldc = k});
  }

  Result<std::vector<float>> InverseCholesky(std::vector<float> h, int64_t k) override {
    if (Status status = InverseCholeskyInPlace(h, k, pool_); !status.ok()) return status.error();
    return h;
  }

  void SubtractProduct(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                       int64_t ldb, float* c, int64_t ldc) override {
    Multiply(pool_, {.m = m,
                     .n = n,
                     .k = k,
                     .alpha = -1.0f,
                     .a = a,
                     .lda = lda,
                     .b = b,
                     .ldb = ldb,
                     .beta = 1.0f,
                     .c = c,
                     .ldc = ldc});
  }

  void SubtractTransposed(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
                          const float* b, int64_t ldb, float* c, int64_t ldc) override {
    Multiply(pool_, {.transpose_b = true,
                     .m = m,
                     .n = n,
                     .k = k,
                     .alpha = -1.0f,
                     .a = a,
                     .lda = lda,
                     .b = b,
                     .ldb = ldb,
                     .beta = 1.0f,
                     .c = c,
                     .ldc = ldc});
  }

 private:
  ThreadPool pool_;
};

}  // namespace

TokenSizes DenseAlgebra::MeasureTokens(std::span<const float> x, int64_t rows, int64_t k,
                                       int64_t outliers) {
  ATOM_CHECK(std::ssize(x) == rows * k, "{} values for {} x {}", x.size(), rows, k);
  TokenSizes sizes{.energies = std::vector<double>(static_cast<size_t>(rows))};
  std::vector<float> low_bit(sizes.energies.size());
  std::vector<float> outlier(sizes.energies.size());
  pool().ParallelFor(rows, [&](int64_t row, int /*worker*/) {
    const auto at = static_cast<size_t>(row);
    const auto token = x.subspan(at * static_cast<size_t>(k), static_cast<size_t>(k));
    const auto split = static_cast<size_t>(k - outliers);
    sizes.energies[at] = TokenEnergy(token);
    low_bit[at] = AbsMax(token.first(split));
    outlier[at] = AbsMax(token.subspan(split));
  });
  for (const float value : low_bit) {
    sizes.largest_low_bit = std::max(sizes.largest_low_bit, value);
  }
  for (const float value : outlier) {
    sizes.largest_outlier = std::max(sizes.largest_outlier, value);
  }
  return sizes;
}

void DenseAlgebra::WeighTokens(std::span<float> x, std::span<float> difference, int64_t k,
                               std::span<const float> roots) {
  ATOM_CHECK(std::ssize(x) == std::ssize(roots) * k &&
                 (difference.empty() || difference.size() == x.size()),
             "{} values, {} of a difference, for {} x {}", x.size(), difference.size(),
             roots.size(), k);
  pool().ParallelFor(std::ssize(roots), [&](int64_t row, int /*worker*/) {
    const float root = roots[static_cast<size_t>(row)];
    const auto first = static_cast<size_t>(row * k);
    for (size_t i = first; i < first + static_cast<size_t>(k); ++i) {
      if (!difference.empty()) difference[i] = (difference[i] - x[i]) * root;
      x[i] *= root;
    }
  });
}

std::unique_ptr<ProductSum> DenseAlgebra::MakeSum(SumKind kind, int64_t k) {
  return std::make_unique<HostSum>(*this, kind, k);
}

std::unique_ptr<DenseAlgebra> MakeCpuAlgebra(int threads) {
  return std::make_unique<CpuAlgebra>(threads);
}

}  // namespace atom::quant
