// Rows of logits against softmax by hand in long double, and means with their errors.
#include "atom/eval/divergence.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "atom/core/rng.h"
#include "atom/eval/estimate.h"

namespace atom::eval {
namespace {

std::vector<float> RandomLogits(Rng& random, size_t count, double scale) {
  std::vector<float> logits(count);
  for (float& logit : logits) logit = static_cast<float>(scale * random.Normal());
  return logits;
}

std::vector<long double> LogSoftmax(const std::vector<float>& logits) {
  long double total = 0.0L;
  for (const float logit : logits) total += std::exp(static_cast<long double>(logit));
  std::vector<long double> logs;
  for (const float logit : logits) logs.push_back(logit - std::log(total));
  return logs;
}

TEST(Divergence, AgreesWithSoftmaxByHand) {
  Rng random(5);
  for (const size_t count : {1u, 2u, 7u, 8u, 63u, 1001u}) {
    for (const double scale : {0.1, 3.0, 12.0}) {
      const std::vector<float> z = RandomLogits(random, count, scale);
      const std::vector<float> y = RandomLogits(random, count, scale);
      std::vector<float> weights(count, -1.0f);
      const LogitRow baseline = ReadLogits(z, weights);
      const LogitRow model = ReadLogits(y, {});
      const std::vector<long double> p = LogSoftmax(z);
      const std::vector<long double> q = LogSoftmax(y);
      long double kl = 0.0L;
      for (size_t i = 0; i < count; ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
      EXPECT_NEAR(KlDivergence(baseline, weights, model), static_cast<double>(kl), 2e-6 * scale);
      const auto target = static_cast<int32_t>(random.Below(static_cast<int64_t>(count)));
      EXPECT_NEAR(model.Loss(target), static_cast<double>(-q[static_cast<size_t>(target)]), 1e-9);
    }
  }
}

TEST(Divergence, OfTheSameLogitsIsZero) {
  Rng random(6);
  const std::vector<float> z = RandomLogits(random, 333, 5.0);
  std::vector<float> weights(z.size());
  const LogitRow row = ReadLogits(z, weights);
  EXPECT_EQ(KlDivergence(row, weights, row), 0.0);
}

TEST(Divergence, LargeLogitsDoNotOverflowAndTheFirstOfEqualsIsLikeliest) {
  const std::vector<float> z = {-3e4f, 3e4f, 3e4f, 0.0f};
  std::vector<float> weights(4);
  const LogitRow row = ReadLogits(z, weights);
  EXPECT_EQ(row.likeliest, 1);
  EXPECT_NEAR(row.Loss(2), std::log(2.0), 1e-12);
}

TEST(Estimate, StandardErrorsOfMeansAndOfPairs) {
  const std::vector<double> a = {1.0, 2.0, 6.0};
  const Estimate mean = MeanOf(a);
  EXPECT_DOUBLE_EQ(mean.mean, 3.0);
  EXPECT_DOUBLE_EQ(*mean.standard_error, std::sqrt((4.0 + 1.0 + 9.0) / 2.0 / 3.0));
  // What both have in common cancels: differences 0.5, 0.5, 0.8.
  const Estimate pair = PairedDifference(a, std::vector<double>{1.5, 2.5, 6.8});
  EXPECT_NEAR(pair.mean, 0.6, 1e-15);
  EXPECT_NEAR(*pair.standard_error, std::sqrt(0.06 / 2.0 / 3.0), 1e-15);
  EXPECT_FALSE(MeanOf(std::vector<double>{2.0}).standard_error);
}

}  // namespace
}  // namespace atom::eval
