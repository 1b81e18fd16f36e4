#include "atom/kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <vector>

#include "atom/core/rng.h"

namespace atom::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Ids 2, 0, 3, 1 in order of falling probability: 0.5, 0.3, 0.15, 0.05.
std::vector<float> FourTokens() {
  std::vector<float> logits;
  for (const double p : {0.3, 0.05, 0.5, 0.15}) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

/// The share of a fine grid of uniforms that gives each token; along it, no token comes twice.
std::map<int32_t, double> Shares(const std::vector<float>& logits, const SamplingParams& params,
                                 std::vector<int32_t>& order) {
  constexpr int kSteps = 10000;
  std::map<int32_t, double> shares;
  order.clear();
  for (int i = 0; i < kSteps; ++i) {
    const int32_t token = SampleToken(logits, params, (i + 0.5) / kSteps);
    if (order.empty() || order.back() != token) order.push_back(token);
    shares[token] += 1.0 / kSteps;
  }
  return shares;
}

TEST(SampleToken, TemperatureZeroTakesTheLargestAndTheSmallerIdOfATie) {
  EXPECT_EQ(SampleToken(std::vector<float>{1, 3, 2}, {}, 0.99), 1);
  EXPECT_EQ(SampleToken(std::vector<float>{1, 3, 3, 3}, {}, 0.99), 1);
  EXPECT_EQ(SampleToken(std::vector<float>{-kInf, -5}, {}, 0.0), 1);
  EXPECT_EQ(SampleToken(std::vector<float>{7}, {}, 0.5), 0);
}

TEST(SampleToken, UniformRunsAlongFallingProbability) {
  std::vector<int32_t> order;
  auto shares = Shares(FourTokens(), {.temperature = 1.0f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0, 3, 1}));
  EXPECT_NEAR(shares[2], 0.5, 2e-4);
  EXPECT_NEAR(shares[0], 0.3, 2e-4);
  EXPECT_NEAR(shares[3], 0.15, 2e-4);
  EXPECT_NEAR(shares[1], 0.05, 2e-4);
}

TEST(SampleToken, TemperatureFlattens) {
  std::vector<int32_t> order;
  auto shares = Shares(FourTokens(), {.temperature = 2.0f}, order);
  const double sum = std::sqrt(0.5) + std::sqrt(0.3) + std::sqrt(0.15) + std::sqrt(0.05);
  EXPECT_NEAR(shares[2], std::sqrt(0.5) / sum, 2e-4);
  EXPECT_NEAR(shares[1], std::sqrt(0.05) / sum, 2e-4);
}

TEST(SampleToken, TopKKeepsTheLikeliest) {
  std::vector<int32_t> order;
  auto shares = Shares(FourTokens(), {.temperature = 1.0f, .top_k = 2}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0}));
  EXPECT_NEAR(shares[2], 0.5 / 0.8, 2e-4);
  Shares(FourTokens(), {.temperature = 1.0f, .top_k = 1}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2}));
  Shares(FourTokens(), {.temperature = 1.0f, .top_k = 100}, order);
  EXPECT_EQ(order.size(), 4u);
}

TEST(SampleToken, TopPKeepsTheSmallestSetThatReachesIt) {
  std::vector<int32_t> order;
  auto shares = Shares(FourTokens(), {.temperature = 1.0f, .top_p = 0.79f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0}));
  EXPECT_NEAR(shares[0], 0.3 / 0.8, 2e-4);
  Shares(FourTokens(), {.temperature = 1.0f, .top_p = 0.81f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0, 3}));
  Shares(FourTokens(), {.temperature = 1.0f, .top_p = 0.0f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2}));
}

TEST(SampleToken, TopPCountsWhatTopKKept) {
  std::vector<int32_t> order;  // of 0.95: 0.526, 0.842, 1
  Shares(FourTokens(), {.temperature = 1.0f, .top_k = 3, .top_p = 0.84f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0}));
  Shares(FourTokens(), {.temperature = 1.0f, .top_k = 3, .top_p = 0.85f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0, 3}));
}

TEST(SampleToken, MinPIsAPartOfTheLikeliest) {
  std::vector<int32_t> order;  // of 0.5: 0.6, 0.3, 0.1
  auto shares = Shares(FourTokens(), {.temperature = 1.0f, .min_p = 0.29f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0, 3}));
  EXPECT_NEAR(shares[3], 0.15 / 0.95, 2e-4);
  Shares(FourTokens(), {.temperature = 1.0f, .min_p = 0.31f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0}));
  Shares(FourTokens(), {.temperature = 1.0f, .min_p = 1.0f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2}));
  // At temperature 2 the parts are square roots: 0.77, 0.55, 0.32.
  Shares(FourTokens(), {.temperature = 2.0f, .min_p = 0.5f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0, 3}));
}

TEST(SampleToken, TopPCountsWhatMinPKept) {
  std::vector<int32_t> order;  // of 0.8: 0.625, 1
  Shares(FourTokens(), {.temperature = 1.0f, .top_p = 0.62f, .min_p = 0.5f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2}));
  Shares(FourTokens(), {.temperature = 1.0f, .top_p = 0.63f, .min_p = 0.5f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0}));
  Shares(FourTokens(), {.temperature = 1.0f, .top_k = 3, .min_p = 0.5f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{2, 0}));
}

TEST(SampleToken, EditsPenalizeAndThenAdd) {
  const std::vector<float> logits = {4, 3, -1, -3};
  const auto greedy = [&](std::vector<LogitEdit> edits) {
    return SampleToken(logits, {.edits = edits}, 0.0);
  };
  EXPECT_EQ(greedy({{.id = 0, .penalty = 1.3f}}), 0);                 // 3.08
  EXPECT_EQ(greedy({{.id = 0, .penalty = 1.4f}}), 1);                 // 2.86
  EXPECT_EQ(greedy({{.id = 0, .penalty = 1.4f, .bias = 0.2f}}), 0);   // 3.06
  EXPECT_EQ(greedy({{.id = 3, .penalty = 2.0f, .bias = 9.9f}}), 0);   // -6 + 9.9
  EXPECT_EQ(greedy({{.id = 3, .penalty = 2.0f, .bias = 10.1f}}), 3);  // -6 + 10.1
  EXPECT_EQ(greedy({{.id = 0, .bias = -kInf}, {.id = 1, .bias = -kInf}}), 2);
  EXPECT_EQ(logits, (std::vector<float>{4, 3, -1, -3}));
}

TEST(SampleToken, EditsShiftProbabilities) {
  std::vector<int32_t> order;
  const std::vector<LogitEdit> edits = {{.id = 1, .bias = std::log(10.0f)}};
  auto shares = Shares(FourTokens(), {.temperature = 1.0f, .edits = edits}, order);
  EXPECT_NEAR(shares[1], 0.5 / 1.45, 2e-4);
  EXPECT_NEAR(shares[0], 0.3 / 1.45, 2e-4);
}

TEST(SampleToken, AMaskLeavesWhatItAllows) {
  std::vector<int32_t> order;
  const std::vector<uint64_t> allowed = {0b1010};  // 0.05 and 0.15
  auto shares = Shares(FourTokens(), {.temperature = 1.0f, .allowed = allowed}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{3, 1}));
  EXPECT_NEAR(shares[3], 0.75, 2e-4);
  EXPECT_EQ(SampleToken(FourTokens(), {.allowed = allowed}, 0.0), 3);
  // Words that are not there allow nothing.
  std::vector<float> many(200, 1.0f);
  many[70] = 2.0f;
  EXPECT_EQ(SampleToken(many, {.allowed = allowed}, 0.0), 1);
  const std::vector<uint64_t> second = {0, uint64_t{1} << 63};
  EXPECT_EQ(SampleToken(many, {.allowed = second}, 0.0), 127);
}

TEST(SampleToken, OnlyAllowedTokensAreChosenWhateverTheLogits) {
  const std::vector<uint64_t> allowed = {0b100};
  const std::vector<LogitEdit> never = {{.id = 2, .bias = -kInf}};
  for (const float temperature : {0.0f, 1.0f, 100.0f}) {
    for (const float unlikely : {-kInf, NAN, -3e38f}) {
      for (const float likely : {0.0f, 3e38f, kInf}) {
        const std::vector<float> logits = {likely, NAN, unlikely, -kInf};
        EXPECT_EQ(SampleToken(logits, {.temperature = temperature, .allowed = allowed}, 0.999), 2);
        EXPECT_EQ(
            SampleToken(logits, {.temperature = temperature, .edits = never, .allowed = allowed},
                        0.999),
            2);
      }
    }
  }
}

TEST(SampleToken, TiesComeInOrderOfTheirIds) {
  std::vector<int32_t> order;
  Shares(std::vector<float>(5, 1.5f), {.temperature = 0.7f}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{0, 1, 2, 3, 4}));
  Shares(std::vector<float>(5, 1.5f), {.temperature = 0.7f, .top_k = 2}, order);
  EXPECT_EQ(order, (std::vector<int32_t>{0, 1}));
}

TEST(SampleToken, NansAndInfinitiesDoNotCrash) {
  for (const float temperature : {0.0f, 1.0f}) {
    const SamplingParams params{.temperature = temperature};
    EXPECT_EQ(SampleToken(std::vector<float>{NAN, 1, NAN}, params, 0.999), 1);
    EXPECT_EQ(SampleToken(std::vector<float>{0, kInf, 5}, params, 0.999), 1);
    EXPECT_EQ(SampleToken(std::vector<float>{-kInf, -kInf, 0}, params, 0.999), 2);
    EXPECT_EQ(SampleToken(std::vector<float>{NAN, NAN}, params, 0.0), 0);
    EXPECT_EQ(SampleToken(std::vector<float>{-1e38f, 3e38f}, params, 0.999), 1);
  }
}

TEST(SampleToken, AgreesWithASortedWalkOnRandomLogits) {
  Rng rng(11);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<float> logits(static_cast<size_t>(1 + rng.Below(200)));
    for (float& value : logits) value = static_cast<float>(std::round(12 * rng.Normal()) / 4);
    const SamplingParams params{.temperature = static_cast<float>(0.2 + rng.Uniform()),
                                .top_k = static_cast<int32_t>(rng.Below(60)),
                                .top_p = static_cast<float>(rng.Uniform() * 1.3),
                                .min_p = static_cast<float>(rng.Uniform() * 0.6 - 0.3)};
    const double uniform = rng.Uniform();

    std::vector<std::pair<float, int32_t>> sorted;
    for (size_t id = 0; id < logits.size(); ++id) {
      sorted.emplace_back(-logits[id], static_cast<int32_t>(id));
    }
    std::sort(sorted.begin(), sorted.end());
    if (params.top_k > 0 && static_cast<size_t>(params.top_k) < sorted.size()) {
      sorted.resize(static_cast<size_t>(params.top_k));
    }
    std::vector<double> upto = {0.0};
    for (const auto& [negative, id] : sorted) {
      const double part = std::exp(double{sorted[0].first - negative} / double{params.temperature});
      if (part < double{params.min_p}) break;
      upto.push_back(upto.back() + part);
    }
    size_t kept = upto.size() - 1;
    if (params.top_p < 1.0f) {
      kept = 1;
      while (upto[kept] < double{params.top_p} * upto.back()) ++kept;
    }
    size_t chosen = 0;
    while (chosen + 1 < kept && upto[chosen + 1] <= uniform * upto[kept]) ++chosen;
    ASSERT_EQ(SampleToken(logits, params, uniform), sorted[chosen].second) << trial;
  }
}

}  // namespace
}  // namespace atom::kernels
