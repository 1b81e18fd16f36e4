#include "atom/quant/dense_algebra.h"

#include <utility>

#include "atom/core/check.h"
#include "atom/core/thread_pool.h"
#include "atom/quant/inverse_cholesky.h"
#include "atom/quant/sgemm.h"

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

std::unique_ptr<ProductSum> DenseAlgebra::MakeSum(SumKind kind, int64_t k) {
  return std::make_unique<HostSum>(*this, kind, k);
}

std::unique_ptr<DenseAlgebra> MakeCpuAlgebra(int threads) {
  return std::make_unique<CpuAlgebra>(threads);
}

}  // namespace atom::quant
