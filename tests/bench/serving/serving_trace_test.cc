#include "atom/bench/serving/serving_trace.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

class ServingTraceTest : public ::testing::Test {
 protected:
  void SetUp() override { tests::WriteTinyModel({}, folder_.path()); }

  TraceOptions Tiny() const {
    TraceOptions options{.geometry = folder_.path().string(),
                         .recipes = {"none", "atom-best"},
                         .seconds = 0.2,
                         .goals = {.first = 100.0, .gap = 100.0},
                         .most_running = 4,
                         .chunk = 32};
    for (int i = 0; i < 40; ++i) {
      options.trace.push_back({.seconds = 0.02 * i, .lengths = {.prompt = 20, .output = 3 + i}});
    }
    options.search.most_trials = 2;
    return options;
  }
  std::vector<TraceTrial> Run(const TraceOptions& options) {
    std::vector<TraceTrial> trials;
    const Status status = RunTrace(
        *bench_, options, [] { return false; },
        [&](const TraceTrial& trial) { trials.push_back(trial); });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return trials;
  }
  std::string Refusal(const TraceOptions& options) {
    const Status status = RunTrace(
        *bench_, options, [] { return false; }, [](const TraceTrial&) { FAIL(); });
    return status.ok() ? "" : status.error().message;
  }
  tests::TemporaryFolder folder_;
  std::unique_ptr<BenchContext> bench_ = BenchContext::Make("cpu", 2, QuickEffort()).value();
};

TEST_F(ServingTraceTest, GoesUpWhileTheGoalsAreKept) {
  const std::vector<TraceTrial> trials = Run(Tiny());
  ASSERT_EQ(trials.size(), 4u);
  EXPECT_EQ(trials[0].rate, 1.0);
  EXPECT_EQ(trials[1].rate, 1.5);
  EXPECT_EQ(trials[2].recipe, "atom-best");
  EXPECT_GT(trials[2].kv.exact_pages, 0);
  for (const TraceTrial& trial : trials) {
    EXPECT_TRUE(trial.holds);
    EXPECT_FALSE(trial.ended_early);
    EXPECT_EQ(trial.report.completed, trial.report.requests);
    EXPECT_GT(trial.report.output_tokens, 0);
  }
  EXPECT_EQ(trials[0].report.requests, 11);  // due until 0.2 s
  EXPECT_EQ(trials[1].report.requests, 16);
  EXPECT_DOUBLE_EQ(trials[1].offered, 16 / 0.2);
  const nlohmann::json json = ToJson(trials[1], *bench_);
  EXPECT_EQ(json.at("bench"), "serving-trace");
  EXPECT_EQ(json.at("holds"), true);
  EXPECT_TRUE(json.at("ttft_ms").contains("p99"));
  EXPECT_NE(TableLine(trials[1]).find(" 1.50 "), std::string::npos);
}

TEST_F(ServingTraceTest, GoesDownWhileTheyAreNot) {
  TraceOptions options = Tiny();
  options.recipes = {"none"};
  options.goals = {.first = 1e-9};
  const std::vector<TraceTrial> trials = Run(options);
  ASSERT_EQ(trials.size(), 2u);
  EXPECT_FALSE(trials[0].holds);
  EXPECT_TRUE(trials[0].ended_early);
  EXPECT_LT(trials[1].rate, 1.0);
}

TEST_F(ServingTraceTest, WhatCannotRunIsRefused) {
  TraceOptions options = Tiny();
  options.memory = 1000;
  EXPECT_NE(Refusal(options).find("KV for one request"), std::string::npos);
  options = Tiny();
  options.context = 129;
  EXPECT_NE(Refusal(options).find("has 128"), std::string::npos);
  options = Tiny();
  options.recipes = {"atom-fp4"};
  EXPECT_NE(Refusal(options).find("simulated"), std::string::npos);
  options = Tiny();
  options.geometry = "llama-9";
  EXPECT_NE(Refusal(options).find("llama-3-8b"), std::string::npos);
  options = Tiny();
  options.layers = 3;
  EXPECT_NE(Refusal(options).find("has 2"), std::string::npos);
}

}  // namespace
}  // namespace atom::bench
