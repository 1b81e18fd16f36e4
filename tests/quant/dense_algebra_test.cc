#include "atom/quant/dense_algebra.h"

#include <cmath>
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <utility>

#include "atom/core/rng.h"

#include "random_problem.h"

namespace atom::quant {
namespace {

using ::testing::HasSubstr;

std::vector<float> Normals(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) value = static_cast<float>(rng.Normal());
  return x;
}

TEST(DenseAlgebraTest, GramAddsTheUpperTriangle) {
  const auto algebra = MakeCpuAlgebra(2);
  for (const auto& [rows, k] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {17, 200}, {300, 401}}) {
    const std::vector<float> x = Normals(rows * k, 1);
    std::vector<float> h(static_cast<size_t>(k * k), 2.0f);
    algebra->AddGram(x, rows, k, 0.5f, h);
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = i; j < k; ++j) {
        double sum = 0.0;
        double magnitude = 0.0;
        for (int64_t t = 0; t < rows; ++t) {
          const double product = static_cast<double>(x[static_cast<size_t>(t * k + i)]) *
                                 x[static_cast<size_t>(t * k + j)];
          sum += product;
          magnitude += std::fabs(product);
        }
        const double bound = static_cast<double>(rows + 4) * 0x1p-24 * (2.0 + 0.5 * magnitude);
        ASSERT_NEAR(h[static_cast<size_t>(i * k + j)], 2.0 + 0.5 * sum, bound) << i << ", " << j;
      }
    }
  }
}

TEST(DenseAlgebraTest, SubtractsAProductOfStridedMatrices) {
  const auto algebra = MakeCpuAlgebra(2);
  constexpr int64_t kM = 261;
  constexpr int64_t kN = 520;
  constexpr int64_t kK = 7;
  constexpr int64_t kLda = 9;
  constexpr int64_t kLdb = 523;
  constexpr int64_t kLdc = 525;
  const std::vector<float> a = Normals(kM * kLda, 1);
  const std::vector<float> b = Normals(kK * kLdb, 2);
  const std::vector<float> before = Normals(kM * kLdc, 3);
  std::vector<float> c = before;
  algebra->SubtractProduct(kM, kN, kK, a.data(), kLda, b.data(), kLdb, c.data(), kLdc);
  for (int64_t i = 0; i < kM; ++i) {
    for (int64_t j = 0; j < kLdc; ++j) {
      const auto index = static_cast<size_t>(i * kLdc + j);
      double expected = before[index];
      for (int64_t l = 0; j < kN && l < kK; ++l) {
        expected -= static_cast<double>(a[static_cast<size_t>(i * kLda + l)]) *
                    b[static_cast<size_t>(l * kLdb + j)];
      }
      ASSERT_NEAR(c[index], expected, 1e-5) << i << ", " << j;
    }
  }
}

TEST(DenseAlgebraTest, InverseCholeskyInvertsUpperTimesItsTranspose) {
  const auto algebra = MakeCpuAlgebra(2);
  for (const int64_t k : {1, 2, 127, 128, 129, 300}) {
    const RandomProblem problem(1, k, static_cast<uint64_t>(k));
    std::vector<float> upper_only = problem.hessian;
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < i; ++j) {
        upper_only[static_cast<size_t>(i * k + j)] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    const auto u = algebra->InverseCholesky(upper_only, k);
    ASSERT_TRUE(u.ok()) << u.error().message;
    const auto at = [&](int64_t i, int64_t j) -> double {
      return (*u)[static_cast<size_t>(i * k + j)];
    };
    for (int64_t i = 0; i < k; ++i) {
      ASSERT_GT(at(i, i), 0.0);
      for (int64_t j = 0; j < i; ++j) ASSERT_EQ(at(i, j), 0.0);
    }
    // U·H·Uᵀ = I, because H⁻¹ = Uᵀ·U.
    std::vector<double> uh(static_cast<size_t>(k * k), 0.0);
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t l = i; l < k; ++l) {
        for (int64_t j = 0; j < k; ++j) {
          uh[static_cast<size_t>(i * k + j)] +=
              at(i, l) * problem.hessian[static_cast<size_t>(l * k + j)];
        }
      }
    }
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        double product = 0.0;
        for (int64_t l = j; l < k; ++l) product += uh[static_cast<size_t>(i * k + l)] * at(j, l);
        ASSERT_NEAR(product, i == j ? 1.0 : 0.0, 2e-3) << "k " << k << " at " << i << ", " << j;
      }
    }
  }
}

TEST(DenseAlgebraTest, RefusesWhatHasNoFactor) {
  const auto algebra = MakeCpuAlgebra(1);
  const auto indefinite = algebra->InverseCholesky({1, 2, 2, 1}, 2);
  ASSERT_FALSE(indefinite.ok());
  EXPECT_THAT(indefinite.error().message, HasSubstr("not positive definite"));
  EXPECT_FALSE(algebra->InverseCholesky({0}, 1).ok());
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), HUGE_VALF}) {
    const auto result = algebra->InverseCholesky({1, bad, bad, 1}, 2);
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message, HasSubstr("element (0, 1)"));
  }
}

TEST(DenseAlgebraTest, BitsDoNotDependOnThreads) {
  constexpr int64_t kRows = 2048;
  constexpr int64_t kK = 320;
  constexpr int64_t kN = 700;
  const std::vector<float> x = Normals(kRows * kK, 1);
  const std::vector<float> a = Normals(kN * 128, 2);
  const std::vector<float> b = Normals(128 * kK, 3);
  // The library's own threads would change sums: they must not matter either.
  using SetThreads = void (*)(int);
  const auto set_omp = reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));

  std::vector<float> first_gram;
  std::vector<float> first_factor;
  std::vector<float> first_product;
  for (const int threads : {1, 2, 3, 8}) {
    if (set_omp != nullptr) set_omp(9 - threads);
    const auto algebra = MakeCpuAlgebra(threads);
    std::vector<float> gram(static_cast<size_t>(kK * kK), 0.0f);
    algebra->AddGram(x, kRows, kK, 2.0f / 3.0f, gram);
    auto factor = algebra->InverseCholesky(gram, kK);
    ASSERT_TRUE(factor.ok());
    std::vector<float> product(static_cast<size_t>(kN * kK), 1.0f);
    algebra->SubtractProduct(kN, kK, 128, a.data(), 128, b.data(), kK, product.data(), kK);
    if (first_gram.empty()) {
      first_gram = gram;
      first_factor = *factor;
      first_product = product;
    }
    EXPECT_EQ(gram, first_gram) << threads << " threads";
    EXPECT_EQ(*factor, first_factor) << threads << " threads";
    EXPECT_EQ(product, first_product) << threads << " threads";
  }
}

}  // namespace
}  // namespace atom::quant
