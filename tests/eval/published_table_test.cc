#include "atom/eval/published_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <set>

#include "atom/model/spec/families.h"

namespace atom::eval {
namespace {

using ::testing::ElementsAre;

struct Sizes {
  int64_t layers, hidden, inner, context;
};

model::ModelSpec Spec(const char* architecture, const char* type, const Sizes& sizes,
                      int64_t vocab = 32000) {
  nlohmann::json config = {{"architectures", {architecture}},
                           {"model_type", type},
                           {"hidden_size", sizes.hidden},
                           {"num_hidden_layers", sizes.layers},
                           {"num_attention_heads", sizes.hidden / 128},
                           {"max_position_embeddings", sizes.context},
                           {"vocab_size", vocab},
                           {"num_local_experts", 8},
                           {"rms_norm_eps", 1e-5},
                           {"hidden_act", "silu"}};
  config["intermediate_size"] = sizes.inner;
  config["ffn_dim"] = sizes.inner;
  Result<model::ModelSpec> spec = model::ReadModelSpec(config, "config.json");
  EXPECT_TRUE(spec.ok()) << spec.error().message;
  return std::move(spec).value();
}

model::ModelSpec Llama(const Sizes& sizes, int64_t vocab = 32000) {
  return Spec("LlamaForCausalLM", "llama", sizes, vocab);
}

std::vector<std::string> Labels(const PublishedModel* model) {
  std::vector<std::string> labels;
  for (const AblationStep& step : PublishedRows(model)) labels.push_back(step.label);
  return labels;
}

TEST(PublishedTableTest, AModelIsRecognizedByTheShapeInItsConfig) {
  const PublishedModel* first = FindPublished(Llama({32, 4096, 11008, 2048}));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->name, "Llama 7B");
  EXPECT_EQ(first->Figure("atom-w3a3", "ptb"), 20.84);
  EXPECT_EQ(first->Figure("atom-fp4", "wikitext2"), std::nullopt);
  EXPECT_EQ(first->Figure("keep-int8", "wikitext2"), 11.39);
  EXPECT_EQ(first->Figure("keep-int8", "c4"), std::nullopt);
  EXPECT_TRUE(first->HasLadder("wikitext2"));
  EXPECT_FALSE(first->HasLadder("c4"));
  for (const AblationStep& step : AblationLadder(Ladder::kAtomW4A4)) {
    EXPECT_TRUE(first->Figure(step.label, "wikitext2")) << step.label;
  }
  EXPECT_THAT(Labels(first), ElementsAre("fp", "atom-w4a4", "atom-w3a3"));
  EXPECT_THAT(PublishedTexts(first), ElementsAre("wikitext2", "ptb", "c4"));

  const PublishedModel* second = FindPublished(Llama({32, 4096, 11008, 4096}));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->name, "Llama 2 7B");
  EXPECT_FALSE(second->HasLadder("wikitext2"));
  EXPECT_THAT(Labels(second), ElementsAre("fp", "atom-w4a4", "atom-fp4"));
  EXPECT_THAT(PublishedTexts(second), ElementsAre("wikitext2"));

  const PublishedModel* mixtral =
      FindPublished(Spec("MixtralForCausalLM", "mixtral", {32, 4096, 14336, 32768}));
  ASSERT_NE(mixtral, nullptr);
  EXPECT_EQ(mixtral->Figure("atom-w4a4", "wikitext2"), 4.41);
  const PublishedModel* opt =
      FindPublished(Spec("OPTForCausalLM", "opt", {64, 9216, 36864, 2048}, 50272));
  ASSERT_NE(opt, nullptr);
  EXPECT_EQ(opt->Figure("fp", "wikitext2"), 9.34);
  EXPECT_NE(opt->remark, "");
  EXPECT_EQ(FindPublished(Llama({80, 8192, 22016, 2048}))->Figure("atom-w3a3", "winogrande"),
            64.33);
}

TEST(PublishedTableTest, OtherShapesAreNoneOfThem) {
  EXPECT_EQ(FindPublished(Llama({32, 4096, 14336, 8192}, 128256)), nullptr);  // Llama 3 8B
  EXPECT_EQ(FindPublished(Llama({32, 4096, 11008, 2048}, 32001)), nullptr);
  EXPECT_EQ(FindPublished(Spec("MistralForCausalLM", "mistral", {32, 4096, 11008, 2048})), nullptr);
  EXPECT_THAT(Labels(nullptr), ElementsAre("fp", "atom-w4a4", "atom-w3a3", "atom-fp4"));
  EXPECT_THAT(PublishedTexts(nullptr), ElementsAre("wikitext2", "ptb", "c4"));
}

TEST(PublishedTableTest, ShapesDifferAndFiguresGrowWithFewerBits) {
  std::set<std::string_view> names;
  for (const PublishedModel& model : PublishedModels()) {
    SCOPED_TRACE(model.name);
    EXPECT_TRUE(names.insert(model.name).second);
    for (const PublishedModel& other : PublishedModels()) {
      EXPECT_EQ(other.shape == model.shape, &other == &model);
    }
    for (const std::string& text : PublishedTexts(&model)) {
      const double fp = model.Figure("fp", text).value();
      const double w4a4 = model.Figure("atom-w4a4", text).value();
      EXPECT_GT(w4a4, fp);
      EXPECT_LT(w4a4, 1.2 * fp);
      for (const char* label : {"atom-w3a3", "atom-fp4"}) {
        EXPECT_GT(model.Figure(label, text).value_or(100.0), w4a4);
      }
    }
  }
}

TEST(PublishedTableTest, RowsArePresetsOnPackedCodes) {
  for (const AblationStep& step : PublishedRows(nullptr)) {
    const bool unquantized = step.label == "fp";
    EXPECT_EQ(step.recipe, quant::FindRecipe(unquantized ? "none" : step.label).value());
    EXPECT_EQ(step.step, unquantized ? -1 : 0);
    EXPECT_TRUE(step.packed);
    EXPECT_FALSE(step.mixed_calibration);
  }
}

// The published configuration, with the bits of each row for weights, activations and KV alike.
TEST(PublishedTableTest, PresetsHaveThePublishedSettings) {
  for (const char* name : {"atom-w4a4", "atom-w3a3", "atom-fp4"}) {
    SCOPED_TRACE(name);
    const quant::Recipe recipe = quant::FindRecipe(name).value();
    const bool fp4 = recipe.name == "atom-fp4";
    const int bits = recipe.name == "atom-w3a3" ? 3 : 4;
    const quant::NumberFormat number =
        fp4 ? quant::NumberFormat::kFp4Published : quant::NumberFormat::kInt;
    EXPECT_EQ(recipe.weight, (quant::WeightRecipe{.bits = bits,
                                                  .number = number,
                                                  .group = 128,
                                                  .channel_group = 2,
                                                  .clip = {0.85f},
                                                  .gptq = true}));
    EXPECT_EQ(recipe.activation,
              (quant::ActivationRecipe{
                  .bits = bits, .number = number, .group = 128, .clip = {fp4 ? 1.0f : 0.9f}}));
    EXPECT_EQ(recipe.kv, (quant::KvRecipe{.bits = bits}));
    EXPECT_TRUE(recipe.reorder);
    EXPECT_EQ(recipe.metric, quant::Metric::kHessian);
    EXPECT_EQ(recipe.outliers, 128);
    EXPECT_EQ(recipe.outlier_format, quant::OutlierFormat::kInt8);
    EXPECT_EQ(recipe.weight.damping, 0.01);
  }
}

}  // namespace
}  // namespace atom::eval
