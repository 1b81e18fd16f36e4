// Tokens that guesses led to are distributed as tokens without guesses are: counts of both, from
// different seeds, by a chi-square test of homogeneity.
#include <algorithm>
#include <cmath>
#include <map>

#include "atom/engine/ngram_drafter.h"

#include "tests/engine/loaded_model.h"
#include "tests/sanitizers.h"

namespace atom::engine {
namespace {

constexpr int64_t kAnswers = tests::kSanitized ? 150 : 1000;
constexpr int64_t kTokens = 4;  // of an answer

/// By the place in the answer: how often each token came.
using Counts = std::array<std::map<int32_t, int64_t>, kTokens>;

/// Guesses tokens that are likely, one for each place, whatever came before.
class PlaceDrafter final : public Drafter {
 public:
  PlaceDrafter(int64_t prompt, const Counts& counts) : prompt_(prompt) {
    for (size_t i = 0; i < likely_.size(); ++i) {
      likely_[i] = std::ranges::max_element(counts[i], {}, [](const auto& entry) {
                     return entry.second;
                   })->first;
    }
  }
  void Draft(std::span<DraftQuestion> questions) override {
    for (DraftQuestion& question : questions) {
      const auto place = std::ssize(question.tokens) - prompt_;
      for (int64_t i = place; i < std::min(place + question.most, kTokens); ++i) {
        question.draft->push_back(likely_[static_cast<size_t>(i)]);
      }
    }
  }
  void End(RequestId) override {}

 private:
  int64_t prompt_;
  std::array<int32_t, kTokens> likely_;
};

class SpeculatedSampling : public testing::TestWithParam<RunnerKind> {
 protected:
  Counts Count(Drafter* drafter, uint64_t first_seed, EngineStats& stats) {
    OwnCore core(model_, 512, {.speculation = {.drafter = drafter, .tokens = 3, .always = true}},
                 GetParam());
    for (int64_t i = 0; i < kAnswers; ++i) {
      Request request;
      request.id = i;
      request.prompt = prompt_;
      request.stop = {.max_tokens = kTokens, .ignore_eos = true};
      request.sampling = {.temperature = 0.5f, .top_k = 12, .seed = first_seed + i};
      core.Add(std::move(request), {});
    }
    Counts counts;
    for (const auto& [id, answer] : Drain(core)) {
      for (size_t i = 0; i < counts.size(); ++i) ++counts[i][answer.tokens.at(i).id];
    }
    stats = core.stats();
    return counts;
  }

  const std::vector<int32_t> prompt_ = RandomPrompt(3, 20);
  LoadedModel model_{kTestedBackend};
};

/// The statistic of two samples of one size, and its degrees of freedom. What is rare is one class.
std::pair<double, double> ChiSquare(const std::map<int32_t, int64_t>& a,
                                    const std::map<int32_t, int64_t>& b) {
  std::map<int32_t, std::pair<double, double>> both;
  for (const auto& [id, count] : a) both[id].first = static_cast<double>(count);
  for (const auto& [id, count] : b) both[id].second = static_cast<double>(count);
  std::pair<double, double> rare;
  double sum = 0.0;
  double classes = 0.0;
  const auto add = [&](const std::pair<double, double>& counts) {
    const double difference = counts.first - counts.second;
    sum += difference * difference / (counts.first + counts.second);
    ++classes;
  };
  for (const auto& [id, counts] : both) {
    if (counts.first + counts.second >= 20.0) {
      add(counts);
    } else {
      rare = {rare.first + counts.first, rare.second + counts.second};
    }
  }
  if (rare.first + rare.second >= 20.0) add(rare);
  return {sum, classes - 1.0};
}

/// What the statistic stays below with a probability of 1 - 1e-5 (Wilson and Hilferty).
double Bound(double freedom) {
  constexpr double kNormal = 4.265;
  const double part = 2.0 / (9.0 * freedom);
  return freedom * std::pow(1.0 - part + kNormal * std::sqrt(part), 3.0);
}

TEST_P(SpeculatedSampling, TokensAreDistributedAsWithoutGuesses) {
  EngineStats stats;
  const Counts plain = Count(nullptr, 1'000'000, stats);
  ASSERT_EQ(stats.draft_tokens, 0);
  PlaceDrafter drafter(std::ssize(prompt_), plain);
  const Counts speculated = Count(&drafter, 2'000'000, stats);
  // Some guesses of each place come true and some do not.
  EXPECT_GT(stats.accepted_tokens, kAnswers / 20);
  EXPECT_LT(stats.accepted_tokens, stats.draft_tokens);
  for (size_t i = 0; i < plain.size(); ++i) {
    const auto [statistic, freedom] = ChiSquare(plain[i], speculated[i]);
    ASSERT_GE(freedom, tests::kSanitized ? 2.0 : 4.0) << "token " << i;  // of fewer answers
    EXPECT_LT(statistic, Bound(freedom)) << "token " << i << ", " << freedom << " degrees";
  }
}

INSTANTIATE_TEST_SUITE_P(Runners, SpeculatedSampling,
                         testing::Values(RunnerKind::kLocal, RunnerKind::kInFlight),
                         RunnerKindName);

}  // namespace
}  // namespace atom::engine
