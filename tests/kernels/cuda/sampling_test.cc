// Sampling on the device against SampleToken. Where exp on the device and on the host may differ in
// the last bit, tokens may differ only if uniform · sum lies that close to a boundary between two:
// PossibleTokens computes the set of tokens that rounding allows, which is one token nearly always.
#include "atom/kernels/cuda/sampling/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Row {
  std::vector<float> logits;
  SamplingParams params;
  double uniform = 0.0;
  std::vector<LogitEdit> edits;
  std::vector<uint64_t> allowed;

  SamplingParams Params() const {
    SamplingParams with = params;
    with.edits = edits;
    with.allowed = allowed;
    return with;
  }
};

/// Edits and mask, as docs/numerics.md says.
std::vector<float> EditedLogits(const Row& row) {
  std::vector<float> z = row.logits;
  for (const LogitEdit& edit : row.edits) {
    float& logit = z[static_cast<size_t>(edit.id)];
    logit = (logit > 0 ? logit / edit.penalty : logit * edit.penalty) + edit.bias;
  }
  for (size_t id = 0; id < z.size() && !row.allowed.empty(); ++id) {
    const bool may = id / 64 < row.allowed.size() && (row.allowed[id / 64] >> (id % 64) & 1) != 0;
    if (!may) {
      z[id] = -kInfinity;
    } else if (!(z[id] > std::numeric_limits<float>::lowest())) {
      z[id] = std::numeric_limits<float>::lowest();
    }
  }
  for (float& value : z) value = std::isnan(value) ? -kInfinity : value;
  return z;
}

/// Tokens that weights within 2^-40 of exact ones allow.
std::set<int32_t> PossibleTokens(const Row& row) {
  const std::vector<float> z = EditedLogits(row);
  std::vector<int32_t> order(z.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](int32_t id) { return z[static_cast<size_t>(id)]; };
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  const SamplingParams& params = row.params;
  if (params.temperature <= 0 || params.top_k == 1) return {order[0]};
  constexpr long double kUnit = 0x1p-40L;
  std::vector<long double> sums = {0};  // of the first n tokens
  int64_t surely_kept = 0;
  for (const int32_t id : order) {
    const long double weight =
        logit(id) == logit(order[0])
            ? 1.0L
            : std::exp((static_cast<long double>(logit(id)) - logit(order[0])) /
                       static_cast<long double>(params.temperature));
    if (weight < kUnit / 4 || weight < params.min_p - kUnit) break;
    if (params.top_k > 0 && std::ssize(sums) > params.top_k) break;
    sums.push_back(sums.back() + weight);
    if (weight >= params.min_p + kUnit || weight == 1.0L) surely_kept = std::ssize(sums) - 1;
  }
  std::set<int32_t> possible;
  if (surely_kept == 0 || params.min_p > 1) possible.insert(order[0]);
  for (int64_t kept = std::max<int64_t>(surely_kept, 1); kept < std::ssize(sums); ++kept) {
    const long double slack = kUnit * static_cast<long double>(kept + 1);
    const auto sum = [&](int64_t n) { return sums[static_cast<size_t>(n)]; };
    const long double enough = params.top_p < 1 ? params.top_p * sum(kept) : sum(kept);
    for (int64_t cut = 1; cut <= kept; ++cut) {
      if (params.top_p >= 1 && cut < kept) continue;
      const bool reaches = sum(cut) >= enough - slack;
      const bool is_first = cut == 1 || sum(cut - 1) < enough + slack;
      if (!reaches || !is_first) continue;
      const long double target = row.uniform * sum(cut);
      for (int64_t n = 0; n < cut; ++n) {
        if (sum(n + 1) > target - slack && sum(n) <= target + slack) {
          possible.insert(order[static_cast<size_t>(n)]);
        }
      }
    }
  }
  return possible;
}

class SamplingTest : public CudaTest {
 protected:
  /// Rows of logits `padding` apart more than they are wide, chosen in one launch.
  std::vector<int32_t> Sample(const std::vector<Row>& rows, int padding = 3) {
    const auto vocabulary = static_cast<int>(rows[0].logits.size());
    const int64_t stride = vocabulary + padding;
    std::vector<float> flat(static_cast<size_t>(stride) * rows.size(), kInfinity);
    SampleRows packed;
    for (size_t i = 0; i < rows.size(); ++i) {
      std::ranges::copy(rows[i].logits, flat.begin() + static_cast<int64_t>(i) * stride);
      packed.Add(static_cast<int32_t>(i), rows[i].Params(), rows[i].uniform,
                 static_cast<int32_t>(rows.size() - 1 - i));
    }
    const auto copy = [](auto span) { return std::vector(span.begin(), span.end()); };
    const DeviceArray<float> logits(flat);
    const DeviceArray<TokenChoice> choices(copy(packed.choices()));
    const DeviceArray<LogitEdit> edits(copy(packed.edits()));
    const DeviceArray<uint64_t> allowed(copy(packed.allowed()));
    const DeviceArray<int32_t> tokens(rows.size()), slots(rows.size());
    const int multiprocessors = device().multiprocessors;
    const DeviceArray<float> workspace(
        static_cast<size_t>(SampleWorkspaceBytes(vocabulary, multiprocessors)) / 4);
    const Status launched = LaunchSample({.logits = {logits.data(), stride, vocabulary},
                                          .choices = choices.data(),
                                          .rows = static_cast<int>(rows.size()),
                                          .edits = edits.data(),
                                          .allowed = allowed.data(),
                                          .tokens = tokens.data(),
                                          .slots = slots.data(),
                                          .workspace = workspace.data()},
                                         multiprocessors, stream().get());
    EXPECT_TRUE(launched.ok()) << launched.error().message;
    std::vector<int32_t> chosen = tokens.Download();
    std::vector<int32_t> kept = slots.Download();
    std::ranges::reverse(kept);
    EXPECT_EQ(kept, chosen);
    return chosen;
  }

  std::vector<float> RandomLogits(int vocabulary, float spread) {
    std::normal_distribution<float> normal(0.0f, spread);
    std::vector<float> logits(static_cast<size_t>(vocabulary));
    for (float& z : logits) z = normal(random_);
    return logits;
  }
  double Uniform() { return std::uniform_real_distribution<double>(0.0, 1.0)(random_); }
  int Below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  std::vector<LogitEdit> RandomEdits(int vocabulary, int count) {
    std::set<int32_t> ids;
    while (std::ssize(ids) < std::min(count, vocabulary)) ids.insert(Below(vocabulary));
    std::vector<LogitEdit> edits;
    for (const int32_t id : ids) {
      edits.push_back({id, 0.5f + static_cast<float>(Uniform()),
                       Below(8) == 0 ? -kInfinity : static_cast<float>(6 * Uniform() - 2)});
    }
    return edits;
  }
  std::vector<uint64_t> RandomMask(int vocabulary) {
    std::vector<uint64_t> words(static_cast<size_t>(1 + Below((vocabulary + 63) / 64)));
    for (uint64_t& word : words) word = random_() & random_() & random_();
    return words;
  }

  std::mt19937_64 random_{std::random_device{}()};
};

TEST_F(SamplingTest, GreedyIsTheHostsChoice) {
  for (const int vocabulary : {1, 2, 7, 63, 1000, 4099, 49152, 151936, 262144}) {
    std::vector<Row> rows(vocabulary > 100000 ? 5 : 21);
    for (Row& row : rows) {
      row.logits = RandomLogits(vocabulary, 4.0f);
      const int kind = Below(8);
      for (float& z : row.logits) {
        if (kind == 1) z = std::round(z / 4);  // many ties
        if (kind == 2 && Below(3) == 0) z = kNan;
        if (kind == 3) z = Below(2) == 0 ? 0.0f : -0.0f;
        if (kind == 4) z = -kInfinity;
        if (kind == 5) z = kNan;
      }
      if (kind == 6) row.logits[static_cast<size_t>(Below(vocabulary))] = kInfinity;
      if (Below(2) == 0) row.edits = RandomEdits(vocabulary, 1 + Below(40));
      if (Below(2) == 0) row.allowed = RandomMask(vocabulary);
      if (Below(4) == 0) row.params = {.temperature = 1.0f, .top_k = 1};
    }
    const std::vector<int32_t> chosen = Sample(rows, Below(2) == 0 ? 3 : 4);
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(chosen[i], SampleToken(rows[i].logits, rows[i].Params(), 0.0))
          << vocabulary << " tokens, row " << i;
    }
  }
}

TEST_F(SamplingTest, ChoosesWhatWeightsAllow) {
  int ambiguous = 0, total = 0;
  for (const int vocabulary : {1, 5, 300, 5000, 49152, 151936}) {
    std::vector<Row> rows(vocabulary > 100000 ? 9 : 40);
    for (Row& row : rows) {
      row.logits = RandomLogits(vocabulary, 1.0f + 4.0f * static_cast<float>(Uniform()));
      if (Below(4) == 0) {
        for (float& z : row.logits) z = std::round(z * 2) / 2;
      }
      if (Below(6) == 0) row.logits[static_cast<size_t>(Below(vocabulary))] = kNan;
      row.uniform = Below(8) == 0 ? 0.0 : Below(8) == 0 ? 1.0 - 0x1p-53 : Uniform();
      row.params.temperature = std::array{0.01f, 0.7f, 1.0f, 1.0f, 2.5f, 50.0f}[Below(6)];
      if (Below(2) == 0) row.params.top_k = 1 + Below(Below(2) == 0 ? 100 : vocabulary);
      if (Below(2) == 0) row.params.top_p = std::array{0.0f, 0.1f, 0.5f, 0.9f, 0.99f}[Below(5)];
      if (Below(3) == 0) row.params.min_p = std::array{1e-4f, 0.02f, 0.3f, 1.0f}[Below(4)];
      if (Below(3) == 0) row.edits = RandomEdits(vocabulary, 1 + Below(40));
      if (Below(3) == 0) row.allowed = RandomMask(vocabulary);
    }
    const std::vector<int32_t> chosen = Sample(rows);
    for (size_t i = 0; i < rows.size(); ++i) {
      const std::set<int32_t> possible = PossibleTokens(rows[i]);
      ambiguous += possible.size() > 1;
      ++total;
      EXPECT_TRUE(possible.contains(chosen[i]))
          << vocabulary << " tokens, row " << i << ": " << chosen[i] << ", host "
          << SampleToken(rows[i].logits, rows[i].Params(), rows[i].uniform);
      if (possible.size() == 1) {
        EXPECT_EQ(chosen[i], SampleToken(rows[i].logits, rows[i].Params(), rows[i].uniform));
      }
    }
  }
  EXPECT_LT(ambiguous, total / 50 + 2);
}

TEST_F(SamplingTest, TiesAreTakenByRisingId) {
  std::vector<Row> rows(64);
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].logits.assign(10000, 1.5f);
    rows[i].uniform = static_cast<double>(i) / 64 + 1.0 / 128;
    rows[i].params.temperature = 0.8f;
    if (i % 2 == 1) rows[i].params.top_k = 640;
  }
  const std::vector<int32_t> chosen = Sample(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(chosen[i], SampleToken(rows[i].logits, rows[i].params, rows[i].uniform)) << i;
  }
}

TEST_F(SamplingTest, NeverDependsOnTheRowsBesideIt) {
  std::vector<Row> rows(150);
  for (Row& row : rows) {
    row.logits = RandomLogits(20000, 3.0f);
    row.uniform = Uniform();
    row.params.temperature = Below(4) == 0 ? 0.0f : 1.3f;
    row.params.top_p = 0.95f;
    if (Below(2) == 0) row.edits = RandomEdits(20000, 30);
  }
  const std::vector<int32_t> together = Sample(rows);
  for (const size_t i : {size_t{0}, size_t{1}, size_t{77}, size_t{149}}) {
    EXPECT_EQ(Sample({rows[i]}), std::vector{together[i]}) << i;
  }
  const std::vector<Row> few(rows.begin(), rows.begin() + 30);
  EXPECT_EQ(Sample(few), std::vector(together.begin(), together.begin() + 30));
}

TEST(SamplingVocabularyTest, SaysWhatItTakes) {
  SampleCall call;
  call.logits.vocabulary = kMaxVocabulary + 1;
  const Status status = LaunchSample(call, 1, nullptr);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message,
            "sampling on the GPU takes vocabularies of 1 to 262144 tokens, not 262145");
}

}  // namespace
}  // namespace atom::kernels::cuda
