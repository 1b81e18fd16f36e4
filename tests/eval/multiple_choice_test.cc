// Scores against sums done by hand, and a whole task on the embedded model against golden values.
#include "atom/eval/multiple_choice.h"

#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"

namespace atom::eval {
namespace {

const std::filesystem::path kSource = ATOM_SOURCE_DIR;

TaskItems Items(const std::vector<std::pair<std::vector<int64_t>, int64_t>>& lengths_and_gold) {
  TaskItems items{.task = "t", .has_acc_norm = true, .file = "f", .items = {}};
  for (const auto& [lengths, gold] : lengths_and_gold) {
    ChoiceItem& item = items.items.emplace_back();
    item.gold = gold;
    for (const int64_t length : lengths) item.choices.push_back({"c", " x", length});
  }
  return items;
}

std::vector<std::vector<Likelihood>> Logs(const std::vector<std::vector<double>>& values) {
  std::vector<std::vector<Likelihood>> logs;
  for (const std::vector<double>& item : values) {
    std::vector<Likelihood>& row = logs.emplace_back();
    for (const double value : item) row.push_back({.log = value, .greedy = false});
  }
  return logs;
}

TEST(Score, ASingleContinuationIsRightIfGreedyDecodingWritesIt) {
  TaskItems items = Items({{{4}, 0}, {{5}, 0}, {{6}, 0}});
  items.single = true;
  const TaskResult result = Score(items, {{{-1.0, true}}, {{-2.0, false}}, {{-6.0, true}}});
  EXPECT_DOUBLE_EQ(result.acc.mean, 2.0 / 3.0);
  EXPECT_FALSE(result.acc_norm);
  ASSERT_TRUE(result.perplexity);
  EXPECT_DOUBLE_EQ(result.perplexity->mean, std::exp(3.0));
  // Deviations 2, 1, -3: the sample's variance is 7.
  EXPECT_DOUBLE_EQ(*result.perplexity->standard_error, std::exp(3.0) * std::sqrt(7.0 / 3.0));
  const nlohmann::json json = ToJson(result, true);
  EXPECT_EQ(json.at("perplexity"), std::exp(3.0));
  EXPECT_EQ(json.at("log_likelihoods")[1][0], -2.0);
}

TEST(Score, TakesTheLikeliestAndTheLikeliestACharacter) {
  const TaskItems items = Items({{{2, 10}, 0},    // -3 > -10; -1.5 < -1
                                 {{2, 10}, 1},    // the same, the other is right
                                 {{4, 4, 8}, 2},  // -4 first; -1 first
                                 {{5, 5}, 0},     // a tie: the first
                                 {{5, 5}, 1}});   // a tie: the first
  const TaskResult result =
      Score(items, Logs({{-3, -10}, {-3, -10}, {-4, -8, -9}, {-7, -7}, {-7, -7}}));
  EXPECT_EQ(result.n, 5);
  EXPECT_DOUBLE_EQ(result.acc.mean, 0.4);
  ASSERT_TRUE(result.acc_norm);
  EXPECT_DOUBLE_EQ(result.acc_norm->mean, 0.4);
  // Values 1 0 0 1 0: deviations 0.6², 0.4², 0.4², 0.6², 0.4² sum to 1.2.
  EXPECT_DOUBLE_EQ(*result.acc.standard_error, std::sqrt(1.2 / 4.0) / std::sqrt(5.0));
}

TEST(Score, OneItemHasNoStandardError) {
  TaskItems items = Items({{{1, 1}, 1}});
  items.has_acc_norm = false;
  const TaskResult result = Score(items, Logs({{-2, -1}}));
  EXPECT_EQ(result.acc.mean, 1.0);
  EXPECT_FALSE(result.acc.standard_error);
  EXPECT_FALSE(result.acc_norm);
  const nlohmann::json json = ToJson(result, false);
  EXPECT_TRUE(json.at("acc_stderr").is_null());
  EXPECT_FALSE(json.contains("acc_norm"));
  EXPECT_FALSE(json.contains("log_likelihoods"));
  EXPECT_EQ(ToJson(result, true).at("log_likelihoods")[0][1], -1.0);
}

/// The golden values are an independent implementation's, of all the tasks that come along.
TEST(MeasureTaskSlow, AgreesWithGoldenLogLikelihoods) {
  std::ifstream file(kSource / "tests/golden/tasks-atom-demo.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const auto files = model::ModelFiles::Open(kSource / "models/atom-demo").value();
  const auto tokenizer = tokenizer::Tokenizer::Load(kSource / "models/atom-demo").value();
  const auto backend = kernels::MakeBackend("cpu", {.threads = 0}).value();
  const auto transformer =
      model::LoadTransformer(files, *backend, {.limits = {.rows = 512, .positions = 513}}).value();
  ASSERT_GE(golden.at("tasks").size(), 4u);
  for (const nlohmann::json& task : golden.at("tasks")) {
    const auto name = task.at("task").get<std::string>();
    SCOPED_TRACE(name);
    const auto expected = task.at("log_likelihoods").get<std::vector<std::vector<double>>>();
    const auto items = LoadTask(name, {{kSource / "data"}}, {.limit = std::ssize(expected)});
    ASSERT_TRUE(items.ok()) << items.error().message;
    const auto result = MeasureTask(*transformer, *tokenizer, *items, 512, nullptr);
    ASSERT_TRUE(result.ok()) << result.error().message;
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(result->log_likelihoods[i].size(), expected[i].size());
      for (size_t c = 0; c < expected[i].size(); ++c) {
        // fp32 forward passes whose logits differ by about 1e-5 (golden_test), over a few dozen
        // tokens.
        EXPECT_NEAR(result->log_likelihoods[i][c], expected[i][c], 2e-3) << i << ", " << c;
      }
    }
    EXPECT_NEAR(result->acc.mean, task.at("acc").get<double>(), 1e-12);
    if (result->acc_norm) {
      EXPECT_NEAR(result->acc_norm->mean, task.at("acc_norm").get<double>(), 1e-12);
    }
  }
}

}  // namespace
}  // namespace atom::eval
