// Folders that GPTQ, AWQ and compressed-tensors write, through the program as a user runs it:
// asked, measured, served, and quantized again. Each answers what an unquantized folder with its
// weights does.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/checkpoint.h"

#include "tests/cli/program.h"
#include "tests/cli/serve_process.h"
#include "tests/tiny_model.h"

namespace atom::cli {
namespace {

const std::filesystem::path kGolden = ATOM_SOURCE_DIR "/tests/golden/foreign";

// Tokens of these are below 64, which is what the fixtures know.
constexpr const char* kPrompt = "31 + 27: 58; 19 - 4:";

/// The byte tokenizer, whose space is such a token too.
void WriteTokenizer(const std::filesystem::path& dir) {
  tests::WriteTinyTokenizer(dir);
  nlohmann::json tokenizer = tests::TinyTokenizer();
  nlohmann::json& vocabulary = tokenizer["model"]["vocab"];
  std::swap(vocabulary["\u2581"], vocabulary["<0x20>"]);
  tests::WriteText(dir / "tokenizer.json", tokenizer.dump());
}

class ForeignTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::filesystem::copy(kGolden / GetParam(), model());
    WriteTokenizer(model());
    WritePlain();
    std::string text;
    for (int i = 0; i < 100; ++i) text += fmt::format("{} + {}: {}; ", i, 7 * i, 8 * i);
    tests::WriteText(folder_ / "text.txt", text);
    tests::WriteText(folder_ / "recipe.json",
                     R"({"name": "narrow", "base": "atom-w4a4", "outliers": {"count": 8},
                         "weight": {"group": 8}, "activation": {"group": 8}})");
  }

  std::string model() const { return folder_ / "model"; }
  std::string plain() const { return folder_ / "plain"; }
  std::string text() const { return folder_ / "text.txt"; }

  /// The unquantized folder with the same weights.
  void WritePlain() const {
    const auto opened = io::Checkpoint::Open(model());
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    std::vector<io::FoundTensor> found;
    std::vector<io::NamedTensor> tensors;
    const io::StoredFile file = opened->Files().at(0);
    for (const io::StoredTensor& tensor : file.tensors) {
      found.push_back(opened->FindTensor(tensor.name).value());
      tensors.push_back({tensor.name, found.back().view});
    }
    io::Json config = opened->config();
    config.erase("quantization_config");
    std::filesystem::create_directory(plain());
    tests::WriteText(folder_ / "plain/config.json", config.dump());
    WriteTokenizer(plain());
    ASSERT_TRUE(io::WriteSafetensors(folder_ / "plain/model.safetensors", tensors, {}).ok());
  }

  std::string Atom(const std::string& arguments) const {
    const Outcome run = RunProgram("", arguments, folder_ / "stderr");
    EXPECT_EQ(run.exit_code, 0) << arguments << ": " << run.err;
    EXPECT_EQ(run.err, "") << arguments;
    return run.out;
  }
  std::string Generated(const std::string& of) const {
    return Atom(
        fmt::format("generate {} --prompt '{}' -n 20 --temperature 0 --ignore-eos", of, kPrompt));
  }
  double Perplexity(const std::string& of) const {
    const std::string out = Atom(fmt::format("eval {} --windows 2 --json - --ppl {}", of, text()));
    if (out.empty()) return NAN;
    return nlohmann::json::parse(out).at("perplexity")[0].at("ppl").get<double>();
  }
  /// What a server answers to the prompt, without randomness.
  static std::string Served(const std::string& of) {
    const ServeProcess server(fmt::format("{} --memory 1GiB --threads 1 --no-log", of));
    server::HttpClient client(server.port());
    client.Send(server::Post(
        "/v1/completions",
        nlohmann::json(
            {{"prompt", kPrompt}, {"max_tokens", 20}, {"temperature", 0}, {"ignore_eos", true}})
            .dump()));
    const std::string response = client.ReadResponse();
    EXPECT_EQ(server::StatusOf(response), 200) << response;
    if (server::StatusOf(response) != 200) return response;
    return nlohmann::json::parse(server::BodyOf(response))["choices"][0]["text"];
  }

  tests::TemporaryFolder folder_;
};

TEST_P(ForeignTest, IsAskedMeasuredAndServedAsAnUnquantizedFolder) {
  const std::string generated = Generated(model());
  EXPECT_GT(generated.size(), 1u);
  EXPECT_EQ(generated, Generated(plain()));
  EXPECT_EQ(Served(model()) + "\n", generated);
  EXPECT_EQ(Perplexity(model()), Perplexity(plain()));
}

TEST_P(ForeignTest, IsQuantizedAgain) {
  const std::string artifact = folder_ / "artifact";
  Atom(fmt::format("quantize {} -o {} --calib {} --samples 6 --seqlen 48 --recipe {}", model(),
                   artifact, text(), (folder_ / "recipe.json").string()));
  Atom("inspect --verify " + artifact);
  EXPECT_NEAR(Perplexity(artifact) / Perplexity(model()), 1.0, 0.2);
  EXPECT_EQ(Served(artifact) + "\n", Generated(artifact));
}

TEST_P(ForeignTest, InspectNamesTheFormat) {
  const std::string out = Atom("inspect " + model());
  const std::string method = std::string(GetParam()).substr(0, 4);
  EXPECT_NE(out.find(method), std::string::npos) << out;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ForeignTest,
                         ::testing::Values("gptq-desc-act", "gptq-v2-8bit", "awq",
                                           "compressed-mixed"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace atom::cli
