#include "atom/pipeline/site_hessian.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

#include "atom/core/rng.h"

namespace atom::pipeline {
namespace {

TEST(SiteHessianTest, WeightsTokensByTheirEnergy) {
  constexpr int64_t kSamples = 3;
  for (const double cap : {0.0, 1.0, 30.0}) {
    for (const int64_t k : {5, 37}) {
      const int64_t rows = 11;
      Rng rng(static_cast<uint64_t>(k));
      const auto algebra = quant::MakeCpuAlgebra(2);
      SiteHessian site(
          *algebra, {.k = k, .outliers = 2, .samples = kSamples, .token_cap = cap, .cross = true});
      const auto size = static_cast<size_t>(k);
      std::vector<double> hessian(size * size, 0.0);
      std::vector<double> cross(size * size, 0.0);
      double first_token = 0.0;
      double largest = 0.0;
      for (int64_t sample = 0; sample < kSamples; ++sample) {
        std::vector<float> x(static_cast<size_t>(rows * k));
        std::vector<float> exact(x.size());
        for (size_t i = 0; i < x.size(); ++i) {
          x[i] = static_cast<float>(rng.Normal() * (i < size ? 50.0 : 1.0));
          exact[i] = x[i] + static_cast<float>(0.1 * rng.Normal());
        }
        std::vector<double> energies;
        for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
          double energy = 0.0;
          for (size_t j = 0; j < size; ++j) {
            energy += static_cast<double>(x[row * size + j]) * x[row * size + j];
            if (j + 2 >= size) largest = std::max<double>(largest, std::fabs(x[row * size + j]));
          }
          energies.push_back(energy);
        }
        std::vector<double> sorted = energies;
        std::sort(sorted.begin(), sorted.end());
        const double median = sorted[(sorted.size() - 1) / 2];
        first_token = std::max(first_token, energies[0] / median);
        for (size_t row = 0; row < energies.size(); ++row) {
          const double weight = cap == 0.0 ? 1.0 : std::min(1.0, cap * median / energies[row]);
          for (size_t i = 0; i < size; ++i) {
            for (size_t j = 0; j < size; ++j) {
              const double xi = x[row * size + i];
              const double xj = x[row * size + j];
              hessian[i * size + j] += 2.0 / kSamples * weight * xi * xj;
              cross[i * size + j] += 2.0 / kSamples * weight * (exact[row * size + i] - xi) * xj;
            }
          }
        }
        site.AddSample(x, exact, rows);
      }
      site.Finish();
      double scale = 0.0;
      double cross_scale = 0.0;
      for (size_t i = 0; i < hessian.size(); ++i) {
        scale = std::max(scale, std::fabs(hessian[i]));
        cross_scale = std::max(cross_scale, std::fabs(cross[i]));
      }
      for (size_t i = 0; i < size; ++i) {
        for (size_t j = 0; j < size; ++j) {
          const size_t upper = i <= j ? i * size + j : j * size + i;
          EXPECT_NEAR(site.hessian()[upper], hessian[upper], 1e-5 * scale);
          EXPECT_NEAR(site.cross()[i * size + j], cross[i * size + j], 1e-4 * cross_scale);
        }
      }
      EXPECT_NEAR(site.statistics().first_token, first_token, 1e-5 * first_token);
      EXPECT_EQ(site.statistics().largest_outlier, largest);
      site.DropCross();
      EXPECT_TRUE(site.cross().empty());
    }
  }
}

}  // namespace
}  // namespace atom::pipeline
