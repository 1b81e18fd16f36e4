#include "atom/eval/published_report.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace atom::eval {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const PublishedModel* Model(std::string_view name) {
  for (const PublishedModel& model : PublishedModels()) {
    if (model.name == name) return &model;
  }
  return nullptr;
}

PublishedRun RunOf(const PublishedModel* model) {
  return {
      .model = model, .texts = {"wikitext2", "mine.txt"}, .tasks = {"piqa"}, .notes = {"a note"}};
}

std::vector<AblationRow> Rows() {
  return {{.step = -1,
           .label = "fp",
           .texts = {{"wikitext2", {1.0, 2.0}}, {"mine.txt", {1.0}}},
           .tasks = {{"piqa", "acc_norm", 1, {1.0, {}}}}},
          {.step = 0,
           .label = "atom-w4a4",
           .texts = {{"wikitext2", {1.5, 3.5}}, {"mine.txt", {1.25}}},
           .bits_per_weight = 4.19,
           .packed = true,
           .tasks = {{"piqa", "acc_norm", 4, {0.75, 0.25}}}},
          {.step = 0,
           .label = "atom-w3a3",
           .texts = {{"wikitext2", {2.0, 4.0}}, {"mine.txt", {1.5}}},
           .bits_per_weight = 3.22,
           .tasks = {}}};
}

TEST(PublishedReportTest, ThePublishedFigureStandsBesideTheModelsOwn) {
  const PublishedRun run = RunOf(Model("Llama 65B"));
  const std::vector<AblationRow> rows = Rows();
  EXPECT_THAT(PublishedHead(run),
              AllOf(HasSubstr("Llama 65B"), HasSubstr("note: a note\n"), HasSubstr("published")));
  EXPECT_EQ(
      PublishedLine(run, std::span(rows).first(1)),
      "fp                                    4.4817      3.53                              2.7183"
      "                                        100.00     80.79\n");
  EXPECT_THAT(PublishedLine(run, std::span(rows).first(2)),
              AllOf(HasSubstr("packed"), HasSubstr("12.1825      3.89  +1.0000 +- 0.5000"),
                    HasSubstr("75.00 +- 25.00     80.41\n")));
  EXPECT_THAT(PublishedLine(run, rows), HasSubstr("simulated"));

  const auto json = ToJson(run, rows);
  EXPECT_EQ(json.at("model"), "Llama 65B");
  EXPECT_EQ(json.at("notes"), (nlohmann::json{"a note"}));
  const auto& row = json.at("rows")[1];
  EXPECT_EQ(row.at("ppl").at("wikitext2"), std::exp(2.5));
  EXPECT_EQ(row.at("published"),
            (nlohmann::json{{"wikitext2", 3.89}, {"mine.txt", nullptr}, {"piqa", 80.41}}));
  EXPECT_EQ(row.at("texts").at("wikitext2").at("delta"), 1.0);
  EXPECT_EQ(row.at("texts").at("wikitext2").at("delta_stderr"), 0.5);
  EXPECT_EQ(row.at("texts").at("wikitext2").at("worst_window").at("index"), 1);
  EXPECT_TRUE(row.at("texts").at("mine.txt").at("delta_stderr").is_null());
  EXPECT_EQ(
      row.at("tasks").at("piqa"),
      (nlohmann::json{{"metric", "acc_norm"}, {"items", 4}, {"accuracy", 0.75}, {"stderr", 0.25}}));
  EXPECT_EQ(row.at("packed"), true);
  EXPECT_TRUE(json.at("rows")[0].at("bits_per_weight").is_null());
  EXPECT_TRUE(json.at("rows")[0].at("texts").at("wikitext2").at("delta").is_null());
}

TEST(PublishedReportTest, AnUnknownShapeHasNothingBeside) {
  const PublishedRun run = RunOf(nullptr);
  const std::vector<AblationRow> rows = Rows();
  EXPECT_THAT(PublishedHead(run),
              AllOf(HasSubstr("no model of the published tables"), Not(HasSubstr(" published  "))));
  EXPECT_THAT(PublishedLine(run, std::span(rows).first(2)),
              HasSubstr("12.1825  +1.0000 +- 0.5000"));
  const auto json = ToJson(run, rows);
  EXPECT_TRUE(json.at("model").is_null());
  EXPECT_TRUE(json.at("rows")[1].at("published").at("wikitext2").is_null());
}

TEST(PublishedReportTest, RemarksOnAModelAreNotes) {
  EXPECT_THAT(PublishedHead(RunOf(Model("OPT 66B"))), HasSubstr("note: the published figure"));
}

}  // namespace
}  // namespace atom::eval
