#include "atom/bench/serving/serving_recipes.h"

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
            .max_length = 64,
            .seconds = 0.1};
  }
  std::vector<ServingRow> Run(const ServingOptions& options, int64_t interrupt_after = -1) {
    std::vector<ServingRow> rows;
    const Status status = RunServing(
        *bench_, options, [&] { return static_cast<int64_t>(rows.size()) == interrupt_after; },
        [&](const ServingRow& row) { rows.push_back(row); });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return rows;
  }
  std::string Refusal(const ServingOptions& options) {
    const Status status = RunServing(
        *bench_, options, [] { return false; }, [](const ServingRow&) { FAIL(); });
    return status.ok() ? "" : status.error().message;
  }
  tests::TemporaryFolder folder_;
  std::unique_ptr<BenchContext> bench_ = BenchContext::Make("cpu", 2, QuickEffort()).value();
};

TEST_F(ServingRecipesTest, BatchesAreFullAllTheTime) {
  const std::vector<ServingRow> rows = Run(Tiny());
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
  options.batches = {1};
  const ServingMemory memory = Run(options)[0].memory;
  options.batches = {};
  options.budget_running = 64;
  // `scratch` grows with the sequences that may run, so ask with the same limits.
  options.budgets = {1};
  const ServingRow none = Run(options)[0];
  EXPECT_FALSE(none.fits);
  EXPECT_GT(none.memory.scratch, memory.scratch);
  options.budgets = {none.memory.Total(12), none.memory.Total(3)};
  const std::vector<ServingRow> rows = Run(options);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].pages, 12);
  EXPECT_TRUE(rows[0].fits);
  EXPECT_LE(rows[0].point.pages_used, 12.0);
  EXPECT_GT(rows[0].point.running, 1.0);
  EXPECT_LT(rows[0].point.running, 12.0);
  EXPECT_FALSE(rows[1].fits);  // no room for the longest request
  EXPECT_NE(TableLine(rows[1]).find("does not fit"), std::string::npos);
  EXPECT_FALSE(ToJson(rows[1], *bench_).contains("output_tokens_per_second"));
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
}

TEST_F(ServingRecipesTest, WrongOptionsAreRefused) {
  ServingOptions options = Tiny();
  options.geometry = "llama-9";
  EXPECT_NE(Refusal(options).find("llama-3-8b"), std::string::npos);
  options = Tiny();
  options.max_length = 129;
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
