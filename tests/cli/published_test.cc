// The published table from the command line, on small models of its families.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "tests/family_model.h"

namespace atom::cli {
namespace {

using nlohmann::json;

class PublishedFlagsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ / "model");
    std::filesystem::create_directories(folder_ / "data");
    tests::WriteText(folder_ / "data" / "wiki.test.raw", tests::TinyText(600));
    tests::WriteText(folder_ / "data" / "wiki.train.raw", tests::TinyText(3000));
    tests::WriteText(folder_ / "data" / "c4-validation.00000-of-00008.json",
                     json{{"text", tests::TinyText(500)}}.dump() + "\n");
  }

  void Write(const std::string& family) {
    tests::WriteFamilyModel(tests::FamilyConfig(family), folder_ / "model");
  }
  std::string model() const { return (folder_ / "model").string(); }
  std::string DataFlag() const { return " --data " + (folder_ / "data").string(); }
  std::string CalibrationFlags() const {
    return DataFlag() + " --samples 4 --seqlen 96 --threads 2";
  }
  Outcome Atom(const std::string& arguments) const {
    return RunProgram("", arguments, folder_ / "stderr");
  }
  json Perplexities(const std::string& recipe) {
    const std::string out = (folder_ / recipe).string();
    const Outcome quantized =
        Atom("quantize " + model() + " -o " + out + " --recipe " + recipe + CalibrationFlags());
    EXPECT_EQ(quantized.exit_code, 0) << quantized.err;
    return Evaluated(out);
  }
  json Evaluated(const std::string& path) const {
    const Outcome run =
        Atom("eval " + path + DataFlag() + " --ppl wikitext2,c4 --windows 3,2 --json -");
    EXPECT_EQ(run.exit_code, 0) << run.err;
    json perplexities;
    const json result = json::parse(run.out);
    for (const json& text : result.at("perplexity")) {
      perplexities[text.at("dataset").get<std::string>()] = text.at("ppl");
    }
    return perplexities;
  }

  tests::TemporaryFolder folder_;
};
class PublishedTest : public PublishedFlagsTest,
                      public ::testing::WithParamInterface<std::string> {};

TEST_P(PublishedTest, RowsAreWhatQuantizingAndEvaluatingGive) {
  if (std::filesystem::exists(ATOM_SOURCE_DIR "/data/ptb")) GTEST_SKIP() << "PTB is at hand";
  Write(GetParam());
  const std::string file = (folder_ / "rows.json").string();
  const Outcome table =
      Atom("ablate " + model() + " --published --windows 3,2 --json " + file + CalibrationFlags());
  ASSERT_EQ(table.exit_code, 0) << table.err;
  EXPECT_NE(table.out.find("no model of the published tables"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("note: left out: data set ptb: ptb.valid.txt"), std::string::npos);
  EXPECT_EQ(table.out.find("put that into"), std::string::npos) << "no excerpts";
  EXPECT_FALSE(std::filesystem::exists(file + ".partial"));

  const json rows = json::parse(ReadAll(file)).at("rows");
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].at("label"), "fp");
  EXPECT_EQ(rows[0].at("ppl"), Evaluated(model()));
  const char* labels[] = {"atom-w4a4", "atom-w3a3", "atom-fp4"};
  for (size_t i = 0; i < std::size(labels); ++i) {
    SCOPED_TRACE(labels[i]);
    const json& row = rows[i + 1];
    EXPECT_EQ(row.at("label"), labels[i]);
    EXPECT_EQ(row.at("ppl"), Perplexities(labels[i]));
    EXPECT_EQ(row.at("packed"), i == 0);
    EXPECT_TRUE(row.at("published").at("c4").is_null());
    EXPECT_NE(table.out.find(labels[i]), std::string::npos);
  }
}

TEST_P(PublishedTest, TheLadderRunsOnTheFamily) {
  Write(GetParam());
  const Outcome run =
      Atom("ablate " + model() + " --to atom-best --mixture wikitext2:1 --windows 1 --json -" +
           " --rows fp,base,keep-fp16,kv-int4,kv-mean,sequential,two-level" + CalibrationFlags());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json rows = json::parse(run.out).at("rows");
  ASSERT_EQ(rows.size(), 7u);
  for (const json& row : rows) EXPECT_GT(row.at("ppl").at("wikitext2").get<double>(), 1.0) << row;
}

INSTANTIATE_TEST_SUITE_P(Families, PublishedTest, ::testing::Values("mixtral", "opt"),
                         [](const auto& family) { return family.param; });

TEST_F(PublishedFlagsTest, TextsAndTasksAreThoseAskedFor) {
  Write("opt");
  const std::string task = (folder_ / "piqa.jsonl").string();
  tests::WriteText(task, R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 0})"
                         "\n"
                         R"({"goal": "h", "sol1": "c", "sol2": "d", "label": 1})"
                         "\n");
  const Outcome run =
      Atom("ablate " + model() + " --published --rows fp --ppl wikitext2 --windows 1 --json - " +
           "--limit 1 --tasks piqa=" + task + CalibrationFlags());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const json result = json::parse(run.out);
  EXPECT_EQ(result.at("notes"),
            (json{"calibrated on 4 x 96 tokens of wikitext2, where the published protocol has "
                  "128 x 2048 of wikitext2",
                  "not all windows of each text, where the published protocol has all"}));
  ASSERT_EQ(result.at("rows").size(), 1u);
  EXPECT_EQ(result.at("rows")[0].at("ppl").size(), 1u);
  EXPECT_EQ(result.at("rows")[0].at("tasks").at("piqa").at("items"), 1);
  EXPECT_EQ(result.at("rows")[0].at("tasks").at("piqa").at("metric"), "acc_norm");

  std::filesystem::remove(folder_ / "data" / "wiki.train.raw");  // the excerpt of the sources
  const Outcome excerpt = Atom("ablate " + model() + " --published --rows fp --ppl wikitext2" +
                               " --windows 1" + CalibrationFlags());
  EXPECT_NE(excerpt.out.find("calibration text wikitext2 is wiki.train.1mb.raw"), std::string::npos)
      << excerpt.out << excerpt.err;
}

TEST_F(PublishedFlagsTest, WhatIsWrongGetsASentence) {
  Write("opt");
  const std::string ablate = "ablate " + model() + CalibrationFlags() + " ";
  EXPECT_EQ(Atom(ablate + "--published --to atom-best").exit_code, 2);
  EXPECT_EQ(Atom(ablate + "--tasks piqa").exit_code, 2);
  ExpectOneSentence(Atom(ablate + "--published --rows kv-int4"),
                    "expected some of fp, atom-w4a4, atom-w3a3, atom-fp4");
  ExpectOneSentence(Atom(ablate + "--published --ppl nonsense"), "nonsense");
  ExpectOneSentence(Atom(ablate + "--published --calib wikitext2:0"), "above 0");
  ExpectOneSentence(Atom(ablate + "--published --tasks nonsense"), "nonsense");
  if (std::filesystem::exists(ATOM_SOURCE_DIR "/data/ptb")) GTEST_SKIP() << "PTB is at hand";
  ExpectOneSentence(Atom(ablate + "--published --ppl ptb"), "ptb.valid.txt was not found");
}

}  // namespace
}  // namespace atom::cli
