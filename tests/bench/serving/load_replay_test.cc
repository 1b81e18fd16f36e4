#include "atom/bench/serving/load_replay.h"

#include <gtest/gtest.h>

#include "atom/bench/serving/numbered_tokenizer.h"
#include "atom/kernels/registry.h"
#include "atom/model/local_runner.h"
#include "atom/model/model_files.h"

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

class LoadReplayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::WriteTinyModel({}, folder_.path());
    files_.emplace(model::ModelFiles::Open(folder_.path()).value());
    transformer_ =
        model::LoadTransformer(*files_, *backend_,
                               {.limits = {.rows = 64, .positions = 100, .sequences = 4}})
            .value();
    runner_ = std::make_unique<model::LocalRunner>(*transformer_,
                                                   model::LocalRunner::Options{.kv_pages = 40});
    tokenizer_ = MakeNumberedTokenizer(files_->spec.vocab_size);
  }
  Replay Run(const LoadPlan& plan, const LatencyGoals& goals = {}) {
    return ReplayLoad(*runner_, *tokenizer_, plan,
                      {.max_running = 4, .step_tokens = 64, .goals = goals}, [] { return false; });
  }

  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  std::unique_ptr<kernels::Backend> backend_ = kernels::MakeBackend("cpu", {.threads = 1}).value();
  std::unique_ptr<model::Transformer> transformer_;
  std::unique_ptr<model::LocalRunner> runner_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
};

TEST_F(LoadReplayTest, RequestsComeWhenTheyAreDueAndAllEnd) {
  LoadPlan plan;
  for (int i = 0; i < 10; ++i) {
    plan.requests.push_back({.seconds = 0.02 * i, .lengths = {.prompt = 5 + i, .output = 4}});
  }
  const Replay replay = Run(plan);
  EXPECT_FALSE(replay.ended_early);
  ASSERT_EQ(replay.records.size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    const CompletionRecord& record = replay.records[i];
    EXPECT_TRUE(record.ok());
    EXPECT_EQ(record.due, plan.requests[i].seconds);
    EXPECT_GE(record.sent, record.due);
    EXPECT_GT(record.first, record.sent);
    EXPECT_GE(record.finished, record.first);
    EXPECT_EQ(record.prompt_tokens, 5 + static_cast<int64_t>(i));
    EXPECT_EQ(record.output_tokens, 4);
    EXPECT_EQ(record.gaps.size(), 3u);
  }
  EXPECT_EQ(Run(plan).records.size(), 10u);  // with the same runner once more
}

TEST_F(LoadReplayTest, ALoadThatHasMissedItsGoalsEnds) {
  LoadPlan plan;
  for (int i = 0; i < 50; ++i) plan.requests.push_back({.lengths = {.prompt = 50, .output = 40}});
  const Replay replay = Run(plan, {.first = 1e-9});
  EXPECT_TRUE(replay.ended_early);
  EXPECT_LT(replay.records.size(), 50u);
  const Replay stopped = ReplayLoad(*runner_, *tokenizer_, plan,
                                    {.max_running = 4, .step_tokens = 64}, [] { return true; });
  EXPECT_TRUE(stopped.interrupted);
  EXPECT_TRUE(stopped.records.empty());
}

TEST(HoldsTest, IsOfNinetyNineInAHundred) {
  const LatencyGoals goals{.first = 1.0, .gap = 0.05};
  LoadReport report{.requests = 2, .completed = 2, .first = {.p99 = 1.0}, .gap = {.p99 = 0.05}};
  EXPECT_TRUE(Holds(report, goals));
  report.gap.p99 = 0.051;
  EXPECT_FALSE(Holds(report, goals));
  EXPECT_TRUE(Holds(report, {.first = 1.0}));
  report.first.p99 = 1.01;
  EXPECT_FALSE(Holds(report, {.first = 1.0}));
  EXPECT_TRUE(Holds(report, {}));
  report.completed = 1;
  EXPECT_FALSE(Holds(report, {}));
  EXPECT_FALSE(Holds({}, {}));
}

}  // namespace
}  // namespace atom::bench
