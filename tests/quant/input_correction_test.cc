#include "atom/quant/input_correction.h"

#include <cmath>
#include <gtest/gtest.h>

#include "random_problem.h"

namespace atom::quant {
namespace {

/// x with h·x = b, by Gaussian elimination in double; h symmetric, damped on its diagonal.
std::vector<double> Solve(std::vector<double> h, std::vector<double> b) {
  const size_t k = b.size();
  for (size_t p = 0; p < k; ++p) {
    for (size_t i = p + 1; i < k; ++i) {
      const double factor = h[i * k + p] / h[p * k + p];
      for (size_t j = p; j < k; ++j) h[i * k + j] -= factor * h[p * k + j];
      b[i] -= factor * b[p];
    }
  }
  for (size_t i = k; i-- > 0;) {
    for (size_t j = i + 1; j < k; ++j) b[i] -= h[i * k + j] * b[j];
    b[i] /= h[i * k + i];
  }
  return b;
}

struct Corrected {
  std::vector<float> w;
  DampedFactor factor;
};

Corrected Correct(const RandomProblem& problem, const std::vector<float>& cross, float share) {
  const auto algebra = MakeCpuAlgebra(2);
  auto factor = FactorDamped(problem.hessian, problem.k, 0.01, false, *algebra);
  EXPECT_TRUE(factor.ok());
  Corrected result{problem.w, *factor};
  const auto product = NegatedProduct(problem.w, problem.n, problem.k, cross, *algebra);
  CorrectWeight(result.w, problem.n, problem.k, product, *factor, share, *algebra);
  return result;
}

TEST(InputCorrectionTest, IsTheFormulaInDouble) {
  for (const int64_t k : {1, 5, 67, 130}) {
    for (const int64_t n : {1, 9}) {
      const RandomProblem problem(n, k, static_cast<uint64_t>(17 * k + n));
      Rng rng(3);
      std::vector<float> cross(problem.hessian.size());
      for (float& value : cross) value = static_cast<float>(rng.Normal());
      const float share = 0.5f;
      const Corrected corrected = Correct(problem, cross, share);

      const auto size = static_cast<size_t>(k);
      double mean = 0.0;
      for (size_t j = 0; j < size; ++j) {
        mean += problem.hessian[j * size + j] / static_cast<double>(k);
      }
      std::vector<double> h(problem.hessian.begin(), problem.hessian.end());
      for (size_t j = 0; j < size; ++j) h[j * size + j] += 0.01 * mean;
      double largest = 0.0;
      double difference = 0.0;
      for (size_t row = 0; row < static_cast<size_t>(n); ++row) {
        std::vector<double> product(size, 0.0);
        for (size_t i = 0; i < size; ++i) {
          for (size_t j = 0; j < size; ++j) {
            product[j] += static_cast<double>(problem.w[row * size + i]) * cross[i * size + j];
          }
        }
        const std::vector<double> step = Solve(h, product);
        for (size_t j = 0; j < size; ++j) {
          const double expected = problem.w[row * size + j] + share * step[j];
          largest = std::max(largest, std::fabs(share * step[j]));
          difference = std::max(difference, std::fabs(corrected.w[row * size + j] - expected));
        }
      }
      EXPECT_GT(largest, 0.0);
      EXPECT_LT(difference, 1e-3 * largest + 1e-6) << n << " x " << k;
    }
  }
}

TEST(InputCorrectionTest, ChangesNothingWhereTheInputsAreRight) {
  const RandomProblem problem(7, 33, 5);
  const std::vector<float> none(problem.hessian.size(), 0.0f);  // x_fp = x_q
  EXPECT_EQ(Correct(problem, none, 1.0f).w, problem.w);
  std::vector<float> some(problem.hessian.size(), 1.0f);
  EXPECT_EQ(Correct(problem, some, 0.0f).w, problem.w);
}

TEST(InputCorrectionTest, TheWholeStepIsTheLeastSquaresSolution) {
  // x_q = x_fp + noise: the corrected weight is closer to w·x_fp on x_q than w is.
  constexpr int64_t kRows = 400;
  constexpr int64_t k = 24;
  Rng rng(9);
  const auto algebra = MakeCpuAlgebra(1);
  std::vector<float> exact(kRows * k);
  std::vector<float> quantized(exact.size());
  for (size_t i = 0; i < exact.size(); ++i) {
    exact[i] = static_cast<float>(rng.Normal());
    quantized[i] = 0.8f * exact[i] + static_cast<float>(0.3 * rng.Normal());
  }
  std::vector<float> difference = exact;
  for (size_t i = 0; i < exact.size(); ++i) difference[i] -= quantized[i];
  std::vector<float> hessian(k * k, 0.0f);
  std::vector<float> cross(k * k, 0.0f);
  algebra->AddGram(quantized, kRows, k, 1.0f, hessian);
  algebra->AddCross(difference, quantized, kRows, k, 1.0f, cross);
  std::vector<float> w(k);
  for (float& value : w) value = static_cast<float>(rng.Normal());
  const auto factor = FactorDamped(hessian, k, 0.0, false, *algebra);
  ASSERT_TRUE(factor.ok());
  const auto error = [&](const std::vector<float>& candidate) {
    double sum = 0.0;
    for (size_t row = 0; row < kRows; ++row) {
      double output = 0.0;
      for (size_t j = 0; j < k; ++j) {
        output += static_cast<double>(w[j]) * exact[row * k + j] -
                  static_cast<double>(candidate[j]) * quantized[row * k + j];
      }
      sum += output * output;
    }
    return sum;
  };
  const auto product = NegatedProduct(w, 1, k, cross, *algebra);
  std::vector<float> corrected = w;
  CorrectWeight(corrected, 1, k, product, *factor, 1.0f, *algebra);
  EXPECT_LT(error(corrected), error(w));
  for (size_t j = 0; j < k; ++j) {  // a minimum: any step away from it is worse
    for (const float step : {-0.01f, 0.01f}) {
      std::vector<float> moved = corrected;
      moved[j] += step;
      EXPECT_GT(error(moved), error(corrected));
    }
  }
}

}  // namespace
}  // namespace atom::quant
