#include <gtest/gtest.h>
#include <limits>

#include "atom/quant/quantize_weight.h"

#include "random_problem.h"

namespace atom::quant {
namespace {

TEST(OutputErrorTest, IsTheQuadraticFormInDouble) {
  const auto algebra = MakeCpuAlgebra(2);
  for (const int64_t k : {1, 5, 256, 300}) {
    RandomProblem problem(3, k, static_cast<uint64_t>(k));
    std::vector<float> q = problem.w;
    Rng rng(1);
    for (float& value : q) value += static_cast<float>(0.01 * rng.Normal());
    double error = 0.0;
    double norm = 0.0;
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t i = 0; i < k; ++i) {
        for (int64_t j = 0; j < k; ++j) {
          const auto a = static_cast<size_t>(row * k + i);
          const auto b = static_cast<size_t>(row * k + j);
          const double h = problem.hessian[static_cast<size_t>(i * k + j)];
          error += h * (problem.w[a] - q[a]) * (problem.w[b] - q[b]);
          norm += h * problem.w[a] * problem.w[b];
        }
      }
    }
    for (int64_t i = 0; i < k; ++i) {  // only the upper triangle counts
      for (int64_t j = 0; j < i; ++j) {
        problem.hessian[static_cast<size_t>(i * k + j)] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    const OutputError measured = MeasureOutputError(problem.w, q, 3, k, problem.hessian, *algebra);
    EXPECT_NEAR(measured.error, error, 1e-4 * error);
    EXPECT_NEAR(measured.norm, norm, 1e-4 * norm);
    EXPECT_NEAR(measured.relative(), error / norm, 2e-4 * error / norm);
    EXPECT_EQ(MeasureOutputError(problem.w, problem.w, 3, k, problem.hessian, *algebra).error, 0.0);
  }
}

TEST(OutputErrorTest, ManyRows) {
  const auto algebra = MakeCpuAlgebra(2);
  const std::vector<float> hessian = {2.0f, 1.0f, 0.0f, 3.0f};
  const std::vector<float> w(2 * 2500, 1.0f);
  const std::vector<float> q(2 * 2500, 0.5f);
  const OutputError measured = MeasureOutputError(w, q, 2500, 2, hessian, *algebra);
  EXPECT_DOUBLE_EQ(measured.norm, 2500 * 7.0);  // 2 + 3 + 2 · 1
  EXPECT_DOUBLE_EQ(measured.error, 2500 * 7.0 / 4.0);
}

}  // namespace
}  // namespace atom::quant
