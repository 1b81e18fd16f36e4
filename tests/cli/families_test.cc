// Mixtures of experts and OPT through the program as a user runs it: a checkpoint is quantized,
// measured on both backends, asked by `atom generate`, and served.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "tests/cli/serve_process.h"
#include "tests/family_model.h"

namespace atom::cli {
namespace {

constexpr int kTokens = 24;

/// A family, and a recipe.
class FamiliesTest : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "model");
    tests::WriteFamilyModel(tests::FamilyConfig(std::get<0>(GetParam())), folder_ / "model");
    tests::WriteText(text(), tests::TinyText(4000));
  }
  std::string text() const { return folder_ / "text.txt"; }
  std::string artifact() const { return folder_ / "artifact"; }

  Outcome Atom(const std::string& arguments) const {
    Outcome run = RunProgram("", arguments, folder_ / "stderr");
    EXPECT_EQ(run.exit_code, 0) << arguments << ": " << run.err;
    EXPECT_EQ(run.err, "") << arguments;
    return run;
  }

  double Perplexity(const std::string& model, const std::string& backend) const {
    const Outcome run =
        Atom(fmt::format("eval {} --threads 2 --backend {} --windows 2 --json - "
                         "--ppl {}",
                         model, backend, text()));
    if (run.exit_code != 0) return NAN;
    return nlohmann::json::parse(run.out).at("perplexity")[0].at("ppl").get<double>();
  }

  /// What a server answers to the prompt, without randomness.
  std::string Served(const std::string& prompt) const {
    const ServeProcess server(fmt::format("{} --memory 1GiB --threads 2 --no-log", artifact()));
    server::HttpClient client(server.port());
    client.Send(server::Post(
        "/v1/completions",
        nlohmann::json(
            {{"prompt", prompt}, {"max_tokens", kTokens}, {"temperature", 0}, {"ignore_eos", true}})
            .dump()));
    const std::string response = client.ReadResponse();
    EXPECT_EQ(server::StatusOf(response), 200) << response;
    if (server::StatusOf(response) != 200) return response;
    return nlohmann::json::parse(server::BodyOf(response))["choices"][0]["text"];
  }

  tests::TemporaryFolder folder_;
};

TEST_P(FamiliesTest, QuantizedMeasuredAskedAndServed) {
  const std::string model = folder_ / "model";
  const Outcome quantize =
      Atom(fmt::format("quantize {} -o {} --calib {} --samples 6 --seqlen 96 --threads 2 "
                       "--recipe {}",
                       model, artifact(), text(), std::get<1>(GetParam())));
  ASSERT_EQ(quantize.exit_code, 0);
  EXPECT_EQ(quantize.out.find("(simulated)"), std::string::npos) << quantize.out;
  Atom("inspect --verify " + artifact());

  const double cpu = Perplexity(artifact(), "cpu");
  // Bit for bit the same logits (docs/numerics.md, 1); their losses are added in double.
  EXPECT_NEAR(cpu / Perplexity(artifact(), "reference"), 1.0, 1e-6);
  EXPECT_NEAR(cpu / Perplexity(model, "cpu"), 1.0, 0.2);

  const std::string prompt = "abc def ghi";
  const std::string generated =
      Atom(fmt::format("generate {} --prompt '{}' -n {} --temperature 0 --ignore-eos --threads 2",
                       artifact(), prompt, kTokens))
          .out;
  EXPECT_GT(generated.size(), 1u);
  EXPECT_EQ(Served(prompt) + "\n", generated);
}

INSTANTIATE_TEST_SUITE_P(
    Families, FamiliesTest,
    ::testing::Combine(::testing::Values("mixtral", "qwen3moe", "opt", "opt350m"),
                       ::testing::Values("atom-w4a4", "atom-w4a8", "atom-best")),
    [](const auto& which) {
      std::string name = std::get<0>(which.param) + "_" + std::get<1>(which.param);
      std::ranges::replace(name, '-', '_');
      return name;
    });

}  // namespace
}  // namespace atom::cli
