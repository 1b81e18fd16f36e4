#include "atom/eval/ablation_report.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace atom::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Two texts, of two windows and of one.
std::vector<AblationRow> Rows() {
  return {{.step = -1, .label = "fp", .texts = {{"a", {2.0, 3.0}}, {"b", {1.0}}}},
          {.step = 0,
           .label = "base",
           .texts = {{"a", {2.5, 4.5}}, {"b", {1.5}}},
           .bits_per_weight = 4.25},
          {.step = 2,
           .label = "keep-int8",
           .texts = {{"a", {2.25, 3.0}}, {"b", {1.25}}},
           .bits_per_weight = 5.0}};
}

TEST(AblationReportTest, DifferencesArePairedByWindows) {
  const std::vector<AblationRow> rows = Rows();
  const RowVerdict base = JudgeRow(rows, 1, 0);
  EXPECT_DOUBLE_EQ(base.perplexity, std::exp(3.5));
  EXPECT_DOUBLE_EQ(base.delta->mean, 1.0);             // of 0.5 and 1.5
  EXPECT_DOUBLE_EQ(*base.delta->standard_error, 0.5);  // their deviation √0.5, over √2
  EXPECT_DOUBLE_EQ(base.change->mean, 1.0);            // the row before is fp
  EXPECT_EQ(base.worst->index, 1);
  EXPECT_DOUBLE_EQ(base.worst->difference, 1.5);
}

TEST(AblationReportTest, SaysNothingOfRowsThatAreNotThere) {
  const std::vector<AblationRow> rows = Rows();
  EXPECT_FALSE(JudgeRow(rows, 0, 0).delta);
  EXPECT_TRUE(JudgeRow(rows, 2, 0).delta);
  EXPECT_FALSE(JudgeRow(rows, 2, 0).change);                 // step 1 was left out
  EXPECT_FALSE(JudgeRow(rows, 1, 1).delta->standard_error);  // one window
  EXPECT_FALSE(JudgeRow(std::span(rows).subspan(1), 0, 0).delta);
}

TEST(AblationReportTest, ThePublishedLadderHasPerplexitiesAlone) {
  const auto published = ToJson(Ladder::kAtomW4A4, Rows());
  EXPECT_EQ(
      published.at("rows")[1],
      (nlohmann::json{
          {"step", 0}, {"label", "base"}, {"ppl", {{"a", std::exp(3.5)}, {"b", std::exp(1.5)}}}}));
  const auto best = ToJson(Ladder::kAtomBest, Rows());
  const auto& row = best.at("rows")[2];
  EXPECT_EQ(row.at("ppl"), published.at("rows")[2].at("ppl"));
  EXPECT_EQ(row.at("bits_per_weight"), 5.0);
  EXPECT_EQ(row.at("texts").at("a").at("delta"), 0.125);
  EXPECT_EQ(row.at("texts").at("a").at("window_losses"), (nlohmann::json{2.25, 3.0}));
  EXPECT_EQ(row.at("texts").at("a").at("worst_window"),
            (nlohmann::json{{"index", 0}, {"delta", 0.25}}));
  EXPECT_TRUE(row.at("texts").at("a").at("change").is_null());
  EXPECT_TRUE(row.at("texts").at("b").at("delta_stderr").is_null());
  EXPECT_TRUE(best.at("rows")[0].at("texts").at("a").at("delta").is_null());
}

TEST(AblationReportTest, APublishedLadderStandsBeside) {
  std::vector<AblationRow> rows = Rows();
  for (AblationRow& row : rows) row.texts[0].dataset = "wikitext2";
  rows.push_back({.step = 3, .label = "mine", .texts = rows.back().texts});
  const PublishedModel* first = &PublishedModels().front();
  const std::string names[] = {"wikitext2", "b"};
  EXPECT_THAT(TableHead(names, first), HasSubstr("wikitext2 published"));
  EXPECT_THAT(TableHead(names), Not(HasSubstr("published")));
  EXPECT_THAT(TableRow(std::span(rows).first(3), first), HasSubstr("13.8046     11.39  "));
  EXPECT_THAT(TableRow(std::span(rows).first(3)), Not(HasSubstr("11.39")));
  const auto json = ToJson(Ladder::kAtomW4A4, rows, first);
  EXPECT_EQ(json.at("rows")[0].at("published"), (nlohmann::json{{"wikitext2", 5.68}}));
  EXPECT_EQ(json.at("rows")[1].at("published"), (nlohmann::json{{"wikitext2", 2315.52}}));
  EXPECT_EQ(json.at("rows")[3].at("published"), (nlohmann::json{{"wikitext2", nullptr}}));
}

TEST(AblationReportTest, TableAndPlotHaveTheFigures) {
  const std::vector<AblationRow> rows = Rows();
  EXPECT_THAT(TableRow(std::span(rows).first(2)),
              ::testing::AllOf(HasSubstr("base"), HasSubstr("4.250"),
                               HasSubstr("+1.0000 +- 0.5000"), HasSubstr("+1.5000")));
  EXPECT_THAT(TableRow(std::span(rows).first(1)), Not(HasSubstr("+-")));
  const std::string published = AblationPlot("tiny", Ladder::kAtomW4A4, rows);
  EXPECT_THAT(published, ::testing::AllOf(HasSubstr("keep-int8"), Not(HasSubstr("whisker"))));
  EXPECT_THAT(AblationPlot("tiny", Ladder::kAtomBest, rows),
              ::testing::AllOf(HasSubstr("whisker"), HasSubstr("log-likelihood")));
}

}  // namespace
}  // namespace atom::eval
