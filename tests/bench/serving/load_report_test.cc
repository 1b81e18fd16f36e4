#include "atom/bench/serving/load_report.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace atom::bench {
namespace {

/// Due at 1, first token at 1.5, 3 tokens, the end at 2.5: half a second a token.
CompletionRecord Good() {
  return {.planned = {4, 3},
          .due = 1.0,
          .sent = 1.25,
          .first = 1.5,
          .finished = 2.5,
          .gaps = {0.25, 0.75},
          .prompt_tokens = 4,
          .output_tokens = 3};
}

std::vector<CompletionRecord> Records() {
  CompletionRecord slow = Good();
  slow.due = 0.5;
  slow.finished = 4.5;
  CompletionRecord failed = Good();
  failed.failure = RequestFailure::kStatus;
  failed.error = "status 429";
  return {Good(), slow, failed};
}

TEST(LoadReportTest, CountsWhatWasCompleted) {
  const LoadReport report = MakeLoadReport(Records(), {});
  EXPECT_EQ(report.requests, 3);
  EXPECT_EQ(report.completed, 2);
  EXPECT_EQ(report.good, 2);
  EXPECT_EQ(report.prompt_tokens, 8);
  EXPECT_EQ(report.output_tokens, 6);
  EXPECT_DOUBLE_EQ(report.seconds, 4.0);
  EXPECT_DOUBLE_EQ(report.PerSecond(report.output_tokens), 1.5);
  EXPECT_DOUBLE_EQ(report.first.mean, 0.75);
  EXPECT_EQ(report.gap.count, 4);
  EXPECT_DOUBLE_EQ(report.gap.mean, 0.5);
  EXPECT_DOUBLE_EQ(report.token.mean, (0.5 + 1.5) / 2);
  EXPECT_DOUBLE_EQ(report.whole.max, 4.0);
  EXPECT_DOUBLE_EQ(report.lateness.p50, 0.5);
  EXPECT_EQ(report.errors, (std::map<std::string, int64_t>{{"status", 1}}));
}

TEST(LoadReportTest, GoalsHoldForTheFirstTokenAndTheMeanGap) {
  EXPECT_EQ(MakeLoadReport(Records(), {.first = 0.5}).good, 1);
  EXPECT_EQ(MakeLoadReport(Records(), {.gap = 0.5}).good, 1);
  EXPECT_EQ(MakeLoadReport(Records(), {.first = 1.0, .gap = 1.5}).good, 2);
  EXPECT_EQ(MakeLoadReport(Records(), {.first = 0.4, .gap = 0.4}).good, 0);
}

TEST(LoadReportTest, SaysItAsJsonTableAndPlot) {
  const LoadReport report = MakeLoadReport(Records(), {.first = 0.5});
  const nlohmann::json json = ToJson(report);
  EXPECT_DOUBLE_EQ(json.at("output_tokens_per_second").get<double>(), 1.5);
  EXPECT_DOUBLE_EQ(json.at("goodput_per_second").get<double>(), 0.25);
  EXPECT_DOUBLE_EQ(json.at("ttft_ms").at("mean").get<double>(), 750.0);
  EXPECT_EQ(json.at("errors").at("status"), 1);
  const std::string table = Table(report);
  EXPECT_NE(table.find("2 of 3 requests"), std::string::npos) << table;
  EXPECT_NE(table.find("error status: 1 requests; first: status 429"), std::string::npos) << table;
  EXPECT_NE(Plot(report, "Load").find("<title>Load</title>"), std::string::npos);
}

TEST(LoadReportTest, NothingIsZero) {
  const LoadReport report = MakeLoadReport({}, {});
  EXPECT_EQ(report.PerSecond(report.completed), 0.0);
  EXPECT_EQ(ToJson(report).at("requests"), 0);
}

}  // namespace
}  // namespace atom::bench
