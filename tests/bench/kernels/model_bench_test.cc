#include "atom/bench/kernels/model_bench.h"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/bench/kernels/random_model.h"
#include "atom/kernels/registry.h"
#include "atom/model/weights.h"

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

TEST(GeometryTest, KnownShapesHaveTheWeightsThatWerePublished) {
  const auto weights = [](const char* name) {
    return model::LinearWeightCount(FindGeometry(name).value().spec);
  };
  // Per layer q, k, v, o, then gate, up, down.
  EXPECT_EQ(weights("llama-7b"), 32 * (4 * 4096 * 4096 + 3 * int64_t{4096} * 11008));
  EXPECT_EQ(weights("tinyllama-1.1b"),
            22 * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * int64_t{2048} * 5632));
  EXPECT_EQ(weights("llama-3-8b"),
            32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * int64_t{4096} * 14336));
  EXPECT_EQ(FindGeometry("llama-3-8b").value().spec.vocab_size, 128256);
  EXPECT_EQ(weights("llama-3-70b"),
            80 * (2 * int64_t{8192} * 8192 + 2 * 8192 * 1024 + 3 * int64_t{8192} * 28672));
  EXPECT_EQ(weights("phi-3-mini"), 32 * (4 * int64_t{3072} * 3072 + 3 * int64_t{3072} * 8192));
  EXPECT_EQ(weights("mixtral-8x7b"),
            32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 8 * 3 * int64_t{4096} * 14336));
  EXPECT_EQ(weights("qwen3-30b-a3b"),
            48 * (2 * 4096 * 2048 + 2 * 512 * 2048 + 128 * 3 * int64_t{2048} * 768));
  EXPECT_EQ(weights("gemma-3-4b"),
            34 * (2 * 2560 * 2048 + 2 * 2560 * 1024 + 3 * int64_t{2560} * 10240));
  EXPECT_EQ(weights("opt-6.7b"), 32 * (4 * 4096 * 4096 + 2 * int64_t{4096} * 16384));
}

TEST(GeometryTest, ReadsConfigFilesAndRefusesWhatIsNotThere) {
  const tests::TemporaryFolder folder;
  tests::WriteTinyModel({}, folder.path());
  const Result<Geometry> read = FindGeometry((folder / "config.json").string());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(FindGeometry(folder.path().string()).value().spec.hidden_size, read->spec.hidden_size);
  const Result<Geometry> unknown = FindGeometry("llama-9");
  ASSERT_FALSE(unknown.ok());
  for (const std::string& name : GeometryNames()) {
    EXPECT_NE(unknown.error().message.find(name), std::string::npos) << unknown.error().message;
  }
  tests::WriteText(folder / "broken.json", "{");
  EXPECT_FALSE(FindGeometry((folder / "broken.json").string()).ok());
}

TEST(ModelCostTest, CountsBytesAndOperations) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  model::ModelSpec spec = FindGeometry("tinyllama-1.1b").value().spec;
  spec.layers.resize(2);
  spec.vocab_size = 100;
  const TimedModel made = MakeRandomModel(*backend, spec, quant::FindRecipe("atom-w4a4").value(),
                                          DType::kBF16, {.rows = 1, .positions = 16});
  const ModelCost& cost = made.cost;
  // A row of K inputs: K - 128 nibbles, a scale for each 128 of them, 128 bytes and their scale.
  const auto row = [](int64_t k) { return (k - 128) / 2 + (k - 128) / 128 * 2 + 128 + 2; };
  const int64_t rows_2048 = 2048 + 256 + 256 + 2048 + 5632 + 5632;
  EXPECT_EQ(cost.linear_bytes, 2 * (rows_2048 * row(2048) + 2048 * row(5632)));
  EXPECT_EQ(cost.head_bytes, 100 * 2048 * 2);
  EXPECT_EQ(cost.kv_bytes_per_position, 2 * 2 * 4 * (32 + 4));
  EXPECT_EQ(made.transformer->layers(), 2);

  EXPECT_EQ(cost.DecodeBytes(10, 2),
            2 * (cost.linear_bytes + cost.head_bytes) + (11 + 12) * cost.kv_bytes_per_position);
  EXPECT_EQ(cost.DecodeBytes(10, 2, 3),
            2 * (cost.linear_bytes + cost.head_bytes) + 3 * (11 + 12) * cost.kv_bytes_per_position);
  const double weights = 2.0 * (2 * 2048 * 2048 + 2 * 2048 * 256 + 3.0 * 2048 * 5632);
  EXPECT_EQ(cost.PrefillOperations(3), 2 * weights * 3 + 2 * 4.0 * 32 * 64 * (1 + 2 + 3));
}

TEST(ModelCostTest, OfAMixtureCountsTheExpertsThatTokensChoose) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  model::ModelSpec spec = FindGeometry("qwen3-30b-a3b").value().spec;
  spec.layers.resize(2);
  spec.vocab_size = 100;
  for (model::LayerSpec& layer : spec.layers)
    layer.ffn.moe = model::MoeSpec{.experts = 4, .top_k = 2};
  const TimedModel made = MakeRandomModel(*backend, spec, quant::FindRecipe("w8a8").value(),
                                          DType::kBF16, {.rows = 1, .positions = 16});
  const ModelCost& cost = made.cost;
  const int64_t expert = 2 * 768 * (2048 + 2) + 2048 * (768 + 2);
  EXPECT_EQ(cost.expert_bytes, 2 * 4 * expert);
  EXPECT_EQ(cost.linear_bytes, 2 * ((4096 + 2 * 512) * (2048 + 2) + 2048 * (4096 + 2)));
  const double rest = static_cast<double>(cost.linear_bytes + cost.head_bytes);
  const double kv = static_cast<double>(cost.kv_bytes_per_position);
  EXPECT_EQ(cost.DecodeBytes(10, 1), rest + 2.0 * 2.0 * static_cast<double>(expert) + 11 * kv);
  // Two tokens that choose halves of the experts: three quarters of them.
  EXPECT_EQ(cost.DecodeBytes(10, 1, 2), rest + 2.0 * 3.0 * static_cast<double>(expert) + 22 * kv);
  const double weights = 2.0 * (2 * 4096 * 2048 + 2 * 512 * 2048 + 2 * 3 * 2048 * 768);
  EXPECT_EQ(cost.PrefillOperations(1), 2 * weights + 2 * 4.0 * 32 * 128);
}

class ModelBenchTest : public ::testing::Test {
 protected:
  void SetUp() override { tests::WriteTinyModel({}, folder_.path()); }
  ModelOptions Tiny() const {
    return {
        .geometries = {folder_.path().string()}, .tests = {"pp20", "tg3", "tg@40"}, .repeats = 2};
  }
  std::string Refusal(const ModelOptions& options) {
    const Status status = RunModel(*bench_, options, [](const ModelRow&) { FAIL(); });
    return status.ok() ? "" : status.error().message;
  }
  tests::TemporaryFolder folder_;
  std::unique_ptr<BenchContext> bench_ = BenchContext::Make("cpu", 2, QuickEffort()).value();
};

TEST_F(ModelBenchTest, EveryRecipeGivesRowsWithSoundNumbers) {
  const std::map<std::string, int> kv_bits = {{"atom-w4a4", 4},    {"w4a8", 4},
                                              {"w4a8-plain", 4},   {"w8a8", 8},
                                              {"w4a16-plain", 16}, {"none", 16}};
  for (const auto& [recipe, bits] : kv_bits) {
    ModelOptions options = Tiny();
    options.recipe = recipe;
    options.layers = 1;
    std::vector<ModelRow> rows;
    const Status status =
        RunModel(*bench_, options, [&](const ModelRow& row) { rows.push_back(row); });
    ASSERT_TRUE(status.ok()) << status.error().message;
    ASSERT_EQ(rows.size(), 3u);
    for (const ModelRow& row : rows) {
      const nlohmann::json json = ToJson(row, *bench_);
      EXPECT_EQ(json.at("bench"), "model");
      EXPECT_EQ(json.at("recipe"), recipe);
      EXPECT_EQ(json.at("kv_bits"), bits);
      EXPECT_EQ(json.at("layers"), 1);
      EXPECT_EQ(json.at("model_layers"), 2);
      for (const char* field : {"tokens_per_second", "seconds", "ceiling_fraction"}) {
        const double value = json.at(field).get<double>();
        EXPECT_TRUE(std::isfinite(value) && value > 0) << recipe << " " << field << " " << value;
      }
    }
    EXPECT_EQ(rows[0].test, "pp20");
    EXPECT_EQ(rows[1].measured.ceiling, "dram");
    EXPECT_DOUBLE_EQ(rows[2].tokens_per_second * rows[2].measured.seconds, 32.0);
    const bool floats = recipe == "none" || recipe == "w4a16-plain";
    EXPECT_EQ(rows[0].measured.ceiling, bench_->Name(floats ? Ceiling::kFma : Ceiling::kInteger));
  }
}

TEST_F(ModelBenchTest, AGgufFileRunsWithItsOwnWeights) {
  ModelOptions options = Tiny();
  options.geometries = {ATOM_SOURCE_DIR "/tests/golden/gguf/tiny.gguf"};
  std::vector<ModelRow> rows;
  const auto keep = [&](const ModelRow& row) { rows.push_back(row); };
  const Status status = RunModel(*bench_, options, keep);
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_EQ(rows.size(), options.tests.size());
  for (const ModelRow& row : rows) {
    EXPECT_EQ(row.geometry, "tiny.gguf");
    EXPECT_EQ(row.recipe, "as stored");
    EXPECT_EQ(row.layers, 2);
    EXPECT_GT(row.tokens_per_second, 0.0);
    EXPECT_GT(row.measured.ceiling_fraction, 0.0);
  }
  options.layers = 1;
  EXPECT_FALSE(RunModel(*bench_, options, keep).ok());
}

TEST_F(ModelBenchTest, WrongOptionsAreRefused) {
  ModelOptions options = Tiny();
  options.geometries = {"llama-9"};
  EXPECT_NE(Refusal(options).find("llama-3-8b"), std::string::npos);
  options = Tiny();
  options.layers = 3;
  EXPECT_NE(Refusal(options).find("has 2"), std::string::npos);
  options = Tiny();
  options.tests = {"pp"};
  EXPECT_NE(Refusal(options).find("\"pp\""), std::string::npos);
  options = Tiny();
  options.recipe = "atom-fp4";
  EXPECT_NE(Refusal(options).find("simulated"), std::string::npos);
  options.recipe = "nonsense";
  EXPECT_NE(Refusal(options).find("nonsense"), std::string::npos);
}

}  // namespace
}  // namespace atom::bench
