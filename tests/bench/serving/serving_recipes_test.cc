#include "atom/bench/serving/serving_recipes.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

class ServingRecipesTest : public ::testing::Test {
 protected:
  void SetUp() override { tests::WriteTinyModel({}, folder_.path()); }

  ServingOptions Tiny() const {
    return {.geometry = folder_.path().string(),
            .recipes = {"none", "atom-w4a4"},
            .batches = {1, 3},
            .chunk = 256,
            .lengths = {.max_length = 64},
            .seconds = 0.1};
  }
  std::vector<ServingRow> Run(const ServingOptions& options, int64_t interrupt_after = -1,
                              const std::vector<ServingRow>& known = {}) {
    std::vector<ServingRow> rows;
    const Status status = RunServing(
        *bench_, options, [&] { return static_cast<int64_t>(rows.size()) == interrupt_after; },
        [&](const ServingRow& point) {
          return std::ranges::any_of(known,
                                     [&](const ServingRow& row) { return row.IsPointOf(point); });
        },
        [&](const ServingRow& row) { rows.push_back(row); });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return rows;
  }
  std::string Refusal(const ServingOptions& options) {
    const Status status = RunServing(
        *bench_, options, [] { return false; }, [](const ServingRow&) { return false; },
        [](const ServingRow&) { FAIL(); });
    return status.ok() ? "" : status.error().message;
  }
  tests::TemporaryFolder folder_;
  std::unique_ptr<BenchContext> bench_ = BenchContext::Make("cpu", 2, QuickEffort()).value();
};

TEST_F(ServingRecipesTest, BatchesAreFullAllTheTime) {
  ServingOptions options = Tiny();
  options.steps = 70;  // the longest request ends within them
  const std::vector<ServingRow> rows = Run(options);
  ASSERT_EQ(rows.size(), 4u);
  for (const ServingRow& row : rows) {
    const ServingPoint& point = row.point;
    EXPECT_TRUE(row.fits);
    EXPECT_EQ(point.preemptions, 0);
    EXPECT_GE(point.seconds, 0.1);
    EXPECT_GT(point.finished, 0);
    // A sequence that ends in a step is missing at its end only.
    EXPECT_NEAR(point.running + static_cast<double>(point.finished) / point.steps,
                static_cast<double>(row.batch), 1e-9);
    // Whole prompts fit the chunk, so everyone who runs gets a token a step.
    EXPECT_EQ(point.output_tokens, point.steps * row.batch);
    EXPECT_GT(point.gap.count, 0);
    EXPECT_LE(point.gap.p50, point.gap.p99);
    EXPECT_GT(point.overhead_share, 0.0);
    EXPECT_LT(point.overhead_share + point.sample_share, 1.0);
  }
  const nlohmann::json json = ToJson(rows[3], *bench_);
  EXPECT_EQ(json.at("recipe"), "atom-w4a4");
  EXPECT_EQ(json.at("weights"), "random");
  EXPECT_EQ(json.at("batch"), 3);
  EXPECT_EQ(json.at("kv_bits"), 4);
  EXPECT_DOUBLE_EQ(json.at("output_tokens_per_second").get<double>(),
                   json.at("output_tokens").get<double>() / json.at("seconds").get<double>());
}

TEST_F(ServingRecipesTest, ABudgetHoldsWhatFits) {
  ServingOptions options = Tiny();
  options.recipes = {"atom-w4a4"};
  options.batches = {};
  options.rules = {MemoryRule::kOnDemand};
  options.budget_running = 64;
  options.budgets = {1};
  const ServingRow none = Run(options)[0];
  EXPECT_FALSE(none.fits);
  options.budgets = {none.memory.Total({.pages = 12}), none.memory.Total({.pages = 3})};
  const std::vector<ServingRow> rows = Run(options);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].kv.pages, 12);
  EXPECT_TRUE(rows[0].fits);
  EXPECT_LE(rows[0].point.pages_used, 12.0);
  EXPECT_GT(rows[0].point.running, 1.0);
  EXPECT_LT(rows[0].point.running, 12.0);
  EXPECT_FALSE(rows[1].fits);  // no room for the longest request
  EXPECT_NE(TableLine(rows[1], rows).find("does not fit"), std::string::npos);
  EXPECT_FALSE(ToJson(rows[1], *bench_).contains("output_tokens_per_second"));
}

TEST_F(ServingRecipesTest, ReservedSlotsRunAndNoMore) {
  ServingOptions options = Tiny();
  options.batches = {};
  options.budget_running = 9;
  options.budgets = {1};
  const std::vector<ServingRow> none = Run(options);
  ASSERT_EQ(none.size(), 4u);  // two rules, two recipes
  // 65 positions are 5 pages of 16, and one for admission.
  options.budgets = {none[0].memory.Total({.pages = 2 * 6 + 5})};
  const std::vector<ServingRow> rows = Run(options);
  EXPECT_EQ(rows[0].rule, MemoryRule::kReserved);
  EXPECT_EQ(rows[0].most_running, 2);
  EXPECT_EQ(rows[0].kv.pages, 12);
  EXPECT_EQ(rows[0].point.preemptions, 0);
  EXPECT_EQ(rows[0].point.output_tokens, rows[0].point.steps * 2);
  EXPECT_EQ(rows[1].rule, MemoryRule::kOnDemand);
  EXPECT_EQ(rows[1].kv.pages, 17);
  // Weights and KV of four bits leave room for all that may run.
  EXPECT_EQ(rows[2].most_running, 9);
  EXPECT_DOUBLE_EQ(BoundOf(rows[2], rows), 9.0 * 6 / 12);
  EXPECT_DOUBLE_EQ(BoundOf(rows[3], rows), static_cast<double>(rows[3].kv.pages) / 17);
  EXPECT_TRUE(std::isnan(BoundOf(rows[3], {})));
  EXPECT_NE(TableLine(rows[2], rows).find(" 4.50 "), std::string::npos);
}

TEST_F(ServingRecipesTest, WhatDoesNotFitSharesThePagesOfALayer) {
  ServingOptions options = Tiny();
  options.recipes = {"none"};
  options.batches = {3};
  options.budgets = {int64_t{64} << 20};
  options.budget_running = 4;
  const ServingMemory memory = Run(options).at(0).memory;
  options.memory = memory.Total({.pages = 3 * 6}) - 1;
  const std::vector<ServingRow> rows = Run(options);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].kv_layers, 1);
  EXPECT_TRUE(rows[0].fits);
  EXPECT_EQ(rows[0].point.output_tokens, rows[0].point.steps * 3);
  EXPECT_NE(TableLine(rows[0], rows).find("KV of 1 layer"), std::string::npos);
  EXPECT_FALSE(rows[1].fits);  // what is said to fit a budget does
  options.memory = memory.Total({.pages = 3 * 6});
  EXPECT_EQ(Run(options).at(0).kv_layers, 2);
  options.memory = memory.Total({});
  EXPECT_FALSE(Run(options).at(0).fits);
}

TEST_F(ServingRecipesTest, ExactPagesAreWithinTheBudget) {
  ServingOptions options = Tiny();
  options.recipes = {"atom-best"};
  options.batches = {2};
  options.budgets = {int64_t{64} << 20};
  options.budget_running = 4;
  for (const ServingRow& row : Run(options)) {
    EXPECT_GT(row.kv.exact_pages, 0);
    EXPECT_GT(row.memory.exact_page_bytes, row.memory.page_bytes);
    EXPECT_LE(row.memory.Total(row.kv), int64_t{64} << 20);
    EXPECT_GT(row.point.output_tokens, 0);
    EXPECT_TRUE(row.batch == 0 || row.point.preemptions == 0);
  }
}

TEST_F(ServingRecipesTest, FixedLengthsAreThoseOfEveryRequest) {
  ServingOptions options = Tiny();
  options.recipes = {"atom-w4a4"};
  options.batches = {2};
  options.lengths.fixed = {.prompt = 20, .output = 30};
  options.steps = 60;
  options.seconds = 0.0;
  const ServingRow row = Run(options).at(0);
  EXPECT_EQ(row.kv.pages, 2 * (4 + 1));
  EXPECT_EQ(row.point.steps, 60);
  EXPECT_EQ(row.point.output_tokens, 2 * 60);
  EXPECT_EQ(row.point.finished, 2 * 2);
  EXPECT_EQ(row.point.prompt_tokens % 20, 0);
}

TEST_F(ServingRecipesTest, WhatIsKnownIsLeftOut) {
  ServingOptions options = Tiny();
  options.budgets = {int64_t{64} << 20};
  options.budget_running = 4;
  const std::vector<ServingRow> first = Run(options, 3);
  ASSERT_EQ(first.size(), 3u);
  const std::vector<ServingRow> rest = Run(options, -1, first);
  ASSERT_EQ(rest.size(), 5u);
  EXPECT_EQ(rest[0].recipe, "none");
  EXPECT_EQ(rest[0].rule, MemoryRule::kOnDemand);
  EXPECT_EQ(rest[1].recipe, "atom-w4a4");
  options.lengths.max_length = 63;  // other points
  EXPECT_EQ(Run(options, -1, first).size(), 8u);
}

TEST_F(ServingRecipesTest, RowsAreReadBackFromJson) {
  ServingOptions options = Tiny();
  options.recipes = {"atom-best"};
  options.batches = {2};
  options.budgets = {1};
  std::vector<ServingRow> rows = Run(options);
  rows.push_back(rows[0]);
  rows.back().lengths.fixed = {.prompt = 3, .output = 4};
  for (const ServingRow& row : rows) {
    const nlohmann::json json = ToJson(row, *bench_);
    const ServingRow back = ServingRowFromJson(json);
    EXPECT_TRUE(back.IsPointOf(row));
    EXPECT_EQ(back.kv, row.kv);
    EXPECT_NEAR(back.point.gap.p99, row.point.gap.p99, 1e-12);
    EXPECT_EQ(TableLine(back, {}), TableLine(row, {}));
    EXPECT_EQ(ToJson(back, *bench_).at("total_bytes"), json.at("total_bytes"));
  }
  EXPECT_THROW(ServingRowFromJson({{"geometry", "x"}}), nlohmann::json::exception);
}

TEST_F(ServingRecipesTest, TheRecipesOfTheDefaultAllRun) {
  ServingOptions options = Tiny();
  options.recipes = ServingOptions().recipes;
  options.batches = {2};
  std::vector<std::pair<std::string, int>> kv_bits;
  for (const ServingRow& row : Run(options)) {
    EXPECT_GT(row.point.output_tokens, 0) << row.recipe;
    kv_bits.emplace_back(row.recipe, row.kv_bits);
  }
  const std::vector<std::pair<std::string, int>> expected = {{"none", 16},        {"w8a8", 8},
                                                             {"w4a16-plain", 16}, {"atom-w4a4", 4},
                                                             {"atom-w4a8", 4},    {"atom-best", 4}};
  EXPECT_EQ(kv_bits, expected);
}

TEST_F(ServingRecipesTest, InterruptedItKeepsWhatItHas) {
  EXPECT_EQ(Run(Tiny(), 2).size(), 2u);
  EXPECT_EQ(Run(Tiny(), 0).size(), 0u);
}

TEST_F(ServingRecipesTest, ThePlotHasAPanelForEachAxis) {
  ServingOptions options = Tiny();
  options.recipes = {"w8a8"};
  options.budgets = {int64_t{1} << 30};
  options.budget_running = 2;
  const std::string svg = Plot(Run(options));
  for (const char* text : {"Throughput at equal batches", "Throughput in equal memory",
                           "Time between tokens at equal batches", "batch 3", "1.00 GiB", "w8a8"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  EXPECT_EQ(svg.find("Published"), std::string::npos);  // of another shape
  ServingRow published{.geometry = "llama-7b", .recipe = "none", .batch = 8};
  EXPECT_NE(Plot({published}).find("batch 256"), std::string::npos);
  published.batch = 0;
  EXPECT_NE(Plot({published}).find("FP16, batch 8: 7.73x"), std::string::npos);
}

TEST_F(ServingRecipesTest, WrongOptionsAreRefused) {
  ServingOptions options = Tiny();
  options.geometry = "llama-9";
  EXPECT_NE(Refusal(options).find("llama-3-8b"), std::string::npos);
  options = Tiny();
  options.lengths.max_length = 129;
  EXPECT_NE(Refusal(options).find("128 positions"), std::string::npos);
  options = Tiny();
  options.layers = 3;
  EXPECT_NE(Refusal(options).find("has 2"), std::string::npos);
  options = Tiny();
  options.recipes = {"none", "atom-fp4"};
  EXPECT_NE(Refusal(options).find("simulated"), std::string::npos);
}

}  // namespace
}  // namespace atom::bench
