// `atom eval --compare` as a user meets it: table, JSON, page, sentences.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "tests/tiny_model.h"

namespace atom::cli {
namespace {

class CompareCliTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b"}) {
      std::filesystem::create_directory(folder_ / name);
      tests::WriteTinyModel({.seed = static_cast<uint64_t>(name[0])}, folder_ / name);
    }
    tests::WriteText(folder_ / "text.txt", tests::TinyText(600));
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  Outcome Eval(const std::string& arguments) const {
    return RunProgram("", "eval --threads 2 " + arguments, folder_ / "stderr");
  }
  tests::TemporaryFolder folder_;
};

TEST_F(CompareCliTest, WritesTableJsonAndPage) {
  const Outcome run =
      Eval(fmt::format("--compare {} {} --ppl {} --windows 2 --json {} --html {}", Path("a"),
                       Path("b"), Path("text.txt"), Path("c.json"), Path("c.html")));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("text.txt: 2 windows of 128 tokens"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("of their logits at most"), std::string::npos);
  const auto json = nlohmann::json::parse(ReadAll(folder_ / "c.json")).at("compare");
  ASSERT_EQ(json.at("models").size(), 2u);
  EXPECT_EQ(json.at("models")[1].at("name"), "b");
  EXPECT_EQ(json.at("models")[1].at("bits_per_weight"), 16.0);
  EXPECT_EQ(json.at("texts")[0].at("models")[1].at("window_losses").size(), 2u);
  EXPECT_EQ(json.at("layer_errors")[0].at("layers").size(), 2u);
  // The baseline's perplexity is what eval prints of it alone.
  const Outcome alone =
      Eval(fmt::format("{} --ppl {} --windows 2 --json -", Path("a"), Path("text.txt")));
  EXPECT_NEAR(json.at("texts")[0].at("models")[0].at("ppl").get<double>(),
              nlohmann::json::parse(alone.out).at("perplexity")[0].at("ppl").get<double>(), 1e-3);
  EXPECT_EQ(ReadAll(folder_ / "c.html").rfind("<!doctype html>", 0), 0u);
}

TEST_F(CompareCliTest, WrongUseIsExplained) {
  for (const std::string& arguments :
       {std::string("--compare x"), std::string("x --compare y z"), std::string("x --html p"),
        std::string("--compare x y --tasks piqa"), std::string("--compare x y --stride 4")}) {
    EXPECT_EQ(Eval(arguments).exit_code, 2) << arguments;
  }
  std::filesystem::create_directory(folder_ / "short");
  tests::WriteTinyModel({.context = 64}, folder_ / "short");
  ExpectOneSentence(
      Eval(fmt::format("--compare {} {} --ppl {}", Path("a"), Path("short"), Path("text.txt"))),
      "other windows than the baseline's");
  ExpectOneSentence(Eval(fmt::format("--compare {} {}", Path("a"), Path("none"))), "none");
}

TEST_F(CompareCliTest, StridedPerplexityHasNoStandardError) {
  const Outcome run =
      Eval(fmt::format("{} --ppl {} --stride 64 --json -", Path("a"), Path("text.txt")));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const auto row = nlohmann::json::parse(run.out).at("perplexity")[0];
  EXPECT_GT(row.at("windows").get<int>(), 600 / 128);
  EXPECT_FALSE(row.contains("loss_stderr"));
  ExpectOneSentence(Eval(fmt::format("{} --ppl {} --stride 129", Path("a"), Path("text.txt"))),
                    "expected a stride from 1 to the window of 128 tokens");
}

}  // namespace
}  // namespace atom::cli
