// Log-probabilities and losses on the device against LogProbsOf.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "atom/kernels/cuda/sampling/sampling.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Answers {
  std::vector<float> targets;
  std::vector<TokenValue> top;
  std::vector<double> losses;
};

class LogProbsTest : public CudaTest {
 protected:
  Answers Ask(const std::vector<float>& flat, int vocabulary, int64_t stride,
              const std::vector<DeviceQuery>& queries, const std::vector<int32_t>& tokens) {
    const DeviceArray<float> logits(flat);
    const DeviceArray<DeviceQuery> asked(queries);
    const DeviceArray<int32_t> chosen(tokens);
    const auto count = static_cast<int>(queries.size());
    const DeviceArray<std::byte> workspace(
        static_cast<size_t>(LogProbWorkspaceBytes(vocabulary, count)));
    const DeviceArray<float> targets(queries.size());
    const DeviceArray<TokenValue> top(queries.size() * kMaxTop);
    const DeviceArray<double> losses(queries.size());
    const Status launched = LaunchLogProbs({.logits = {logits.data(), stride, vocabulary},
                                            .queries = asked.data(),
                                            .count = count,
                                            .tokens = chosen.data(),
                                            .workspace = workspace.data(),
                                            .targets = targets.data(),
                                            .top = top.data(),
                                            .losses = losses.data()},
                                           stream().get());
    EXPECT_TRUE(launched.ok()) << launched.error().message;
    return {targets.Download(), top.Download(), losses.Download()};
  }
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  std::mt19937_64 random_{std::random_device{}()};
};

/// fp32 of a double that may differ in its last bits.
void ExpectNear(float value, float expected, const std::string& what) {
  if (expected == value) return;
  EXPECT_LE(std::abs(value - expected), std::abs(expected) * 0x1p-23f + 1e-12f) << what;
}

TEST_F(LogProbsTest, AreThoseOfTheHost) {
  for (const int vocabulary : {1, 6, 1000, 8192, 8193, 49152, 262144}) {
    const int count = vocabulary > 100000 ? 4 : 12;
    const int64_t stride = vocabulary + (Below(2) == 0 ? 3 : 4);
    std::normal_distribution<float> normal(0.0f, 5.0f);
    std::vector<float> flat(static_cast<size_t>(stride * count), kNan);
    std::vector<DeviceQuery> queries;
    std::vector<int32_t> tokens;
    for (int row = 0; row < count; ++row) {
      const int kind = Below(6);
      for (int id = 0; id < vocabulary; ++id) {
        float z = normal(random_);
        if (kind == 1) z = std::round(z);
        if (kind == 2 && Below(5) == 0) z = Below(2) == 0 ? kNan : -kInfinity;
        if (kind == 3) z = -kInfinity;
        if (kind == 4 && id == vocabulary / 2) z = kInfinity;
        flat[static_cast<size_t>(row * stride + id)] = z;
      }
      tokens.push_back(Below(vocabulary));
    }
    for (int i = 0; i < count + 3; ++i) {
      queries.push_back({Below(count), Below(3) == 0 ? -1 : Below(vocabulary),
                         std::array{0, 1, 5, 20, kMaxTop}[static_cast<size_t>(Below(5))]});
    }
    const Answers answers = Ask(flat, vocabulary, stride, queries, tokens);
    for (size_t i = 0; i < queries.size(); ++i) {
      const DeviceQuery& query = queries[i];
      const int32_t target =
          query.target >= 0 ? query.target : tokens[static_cast<size_t>(query.row)];
      const std::span<const float> logits(flat.data() + query.row * stride,
                                          static_cast<size_t>(vocabulary));
      const LogProbs expected =
          LogProbsOf(logits, {.row = query.row, .target = target, .top = query.top});
      const std::string what = fmt::format("{} tokens, query {}", vocabulary, i);
      ExpectNear(answers.targets[i], expected.target, what);
      if (std::ranges::all_of(logits, [](float z) { return z < kInfinity; })) {
        ExpectNear(static_cast<float>(-answers.losses[i]), expected.target, what);
      } else {
        EXPECT_TRUE(std::isnan(answers.losses[i])) << what;
      }
      for (size_t n = 0; n < static_cast<size_t>(kMaxTop); ++n) {
        const TokenValue& found = answers.top[i * static_cast<size_t>(kMaxTop) + n];
        if (n >= expected.top.size()) {
          EXPECT_EQ(found.id, -1) << what;  // not written
          continue;
        }
        EXPECT_EQ(found.id, expected.top[n].id) << what << ", top " << n;
        ExpectNear(found.value, expected.top[n].value, what);
      }
    }
  }
}

TEST_F(LogProbsTest, NeverDependOnTheRowsBesideThem) {
  constexpr int kVocabulary = 50000, kRows = 70;
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<float> flat(size_t{kVocabulary} * kRows);
  for (float& z : flat) z = normal(random_);
  std::vector<DeviceQuery> queries;
  for (int row = 0; row < kRows; ++row) queries.push_back({row, Below(kVocabulary), 0});
  const Answers together = Ask(flat, kVocabulary, kVocabulary, queries, {0});
  for (const int row : {0, 33, kRows - 1}) {
    const Answers alone =
        Ask(flat, kVocabulary, kVocabulary, {queries[static_cast<size_t>(row)]}, {0});
    EXPECT_EQ(alone.losses[0], together.losses[static_cast<size_t>(row)]) << row;
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
