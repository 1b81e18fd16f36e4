// Mixtures of experts through the whole offline flow: quantized, written, read and run, the same
// bits on both backends, packed and fake-quantized; and what becomes of experts that few tokens
// choose.
#include <cmath>
#include <numeric>

#include "atom/pipeline/expert_layer.h"

#include "tests/pipeline/quantize_fixture.h"

namespace atom::pipeline {
namespace {

using artifact::LinearName;
using artifact::LinearRole;
using artifact::SiteName;
using artifact::SiteRole;

class MixtureModelTest : public QuantizeModelTest {
 protected:
  void SetUp() override {
    Open({.hidden = 128, .inner = 64, .heads = 2, .kv_heads = 1, .experts = 5}, "model");
  }

  /// Of integers in groups of 16 with 8 outliers.
  static quant::Recipe Small(const char* preset) {
    quant::Recipe recipe = Preset(preset);
    recipe.name = "small";
    recipe.outliers = 8;
    recipe.weight.group = 8;
    recipe.weight.channel_group = 1;
    if (recipe.activation.group > 0) recipe.activation.group = 8;
    return recipe;
  }

  artifact::HostLayer Layer(const std::string& name, int64_t layer) {
    opened_.emplace(model::ModelFiles::Open(folder_ / name).value());
    return opened_->ReadLayer(layer).value();
  }
  std::optional<model::ModelFiles> opened_;
};

TEST_F(MixtureModelTest, PackedAndFakeQuantizedAreTheSameOnBothBackends) {
  const double fp = Perplexity(folder_ / "model", false);
  EXPECT_NEAR(fp / Perplexity(folder_ / "model", false, "reference"), 1.0, 1e-6);
  for (const char* preset : {"atom-w4a4", "w4a8"}) {
    SCOPED_TRACE(preset);
    const std::string name = std::string("quantized-") + preset;
    Quantize(name, Small(preset), /*simulated=*/false, 2);
    const double packed = Perplexity(folder_ / name, false, "reference");
    EXPECT_NEAR(packed / Perplexity(folder_ / name, false), 1.0, 1e-6);
    EXPECT_NEAR(packed / Perplexity(folder_ / name, true), 1.0, 1e-3);
    EXPECT_NEAR(packed / fp, 1.0, 0.3);
  }
}

TEST_F(MixtureModelTest, ArtifactsHoldEveryExpertAndTheRouterAsItWas) {
  const artifact::HostLayer source = files_->ReadLayer(1).value();
  Quantize("quantized", Small("atom-w4a4"), /*simulated=*/false, 2);
  const artifact::HostLayer layer = Layer("quantized", 1);
  ASSERT_TRUE(layer.router.has_value());
  EXPECT_EQ(layer.router->view.dtype, DType::kBF16);
  EXPECT_EQ(ToFloats(layer.router->view), ToFloats(source.router->view));
  EXPECT_FALSE(Layer("quantized", 0).router.has_value());
  // One order of channels before all experts, and one before all of their `down`.
  const artifact::HostLayer again = Layer("quantized", 1);
  EXPECT_EQ(again.sites.size(), 3u + 5u);
  const auto order = again[SiteName(SiteRole::kDown, 0)].permutation;
  for (int32_t e = 1; e < 5; ++e) {
    EXPECT_TRUE(again[LinearName(LinearRole::kGate, e)].packed());
    EXPECT_TRUE(std::ranges::equal(again[SiteName(SiteRole::kDown, e)].permutation.source(),
                                   order.source()));
  }
}

TEST_F(MixtureModelTest, SequentialQuantizationGoesExpertByExpert) {
  quant::Recipe recipe = Small("atom-w4a4");
  recipe.weight.sequential = true;
  recipe.weight.correction = 0.5;
  Quantize("sequential", recipe, /*simulated=*/false, 2);
  const io::Json report = io::ReadJsonFile(folder_ / "sequential/quantize_report.json").value();
  const auto tokens = report.at("layers")[1].at("expert_tokens").get<std::vector<int64_t>>();
  EXPECT_EQ(std::accumulate(tokens.begin(), tokens.end(), int64_t{0}), 2 * 6 * kLength)
      << "each token of each window chose two";
  const double packed = Perplexity(folder_ / "sequential", false, "reference");
  EXPECT_NEAR(packed / Perplexity(folder_ / "sequential", false), 1.0, 1e-6);
  EXPECT_NEAR(packed / Perplexity(folder_ / "model", false), 1.0, 0.3);
}

TEST_F(MixtureModelTest, SearchedClipsAreTheSameForAllExperts) {
  quant::Recipe recipe = Small("atom-w4a4");
  recipe.activation.clip.search = true;
  Quantize("searched", recipe, /*simulated=*/false, 2);
  const artifact::HostLayer layer = Layer("searched", 1);
  for (int32_t e = 1; e < 5; ++e) {
    EXPECT_EQ(layer[SiteName(SiteRole::kDown, e)].format,
              layer[SiteName(SiteRole::kDown, 0)].format);
  }
}

// Each expert's `down` has outliers of its own, as many as the recipe keeps: one order for all
// experts keeps few of them in INT8.
class ExpertOrderTest : public MixtureModelTest {
 protected:
  void SetUp() override {
    Open({.hidden = 128, .inner = 64, .heads = 2, .kv_heads = 1, .experts = 5, .outliers = 8},
         "model");
  }
  static quant::Recipe Own(const char* preset) {
    quant::Recipe recipe = Small(preset);
    recipe.expert_order = quant::ExpertOrder::kOwn;
    return recipe;
  }
  /// Of the experts with Hessians of their own: an error on another's tokens says little.
  std::map<int32_t, double> DownErrors(const std::string& name) {
    const io::Json report = io::ReadJsonFile(folder_ / name / "quantize_report.json").value();
    const io::Json& layer = report.at("layers")[1];
    std::map<int32_t, double> errors;
    for (int32_t e = 0; e < 5; ++e) {
      if (layer.at("expert_tokens")[static_cast<size_t>(e)] < LeastExpertTokens(64)) continue;
      errors[e] = layer.at("linear_error").at(fmt::format("experts.{}.down", e)).get<double>();
    }
    return errors;
  }
};

TEST_F(ExpertOrderTest, OutliersOfEachExpertAreKept) {
  for (const char* preset : {"atom-w4a4", "w4a8"}) {
    SCOPED_TRACE(preset);
    const std::string shared = std::string("shared-") + preset, own = std::string("own-") + preset;
    Quantize(shared, Small(preset), /*simulated=*/false, 2);
    Quantize(own, Own(preset), /*simulated=*/false, 2);
    if (HasFatalFailure()) return;
    std::map<int32_t, double> of_shared = DownErrors(shared);
    int compared = 0;
    for (const auto& [expert, error] : DownErrors(own)) {
      if (!of_shared.contains(expert)) continue;
      ++compared;
      EXPECT_LT(error, 0.5 * of_shared[expert]) << expert;
    }
    EXPECT_GE(compared, 3);

    const double packed = Perplexity(folder_ / own, false);
    EXPECT_NEAR(packed / Perplexity(folder_ / own, false, "reference"), 1.0, 1e-6);
    EXPECT_NEAR(packed / Perplexity(folder_ / own, true), 1.0, 1e-3);
    EXPECT_NEAR(packed / Perplexity(folder_ / "model", false), 1.0, 0.3);

    // The last eight columns of each expert are its own outliers, as the artifact says.
    const artifact::HostLayer layer = Layer(own, 1);
    for (int32_t e = 0; e < 5; ++e) {
      const quant::Permutation& order = layer[SiteName(SiteRole::kDown, e)].permutation;
      std::vector<int32_t> outliers(order.source().end() - 8, order.source().end());
      std::ranges::sort(outliers);
      for (int32_t i = 0; i < 8; ++i) EXPECT_EQ(outliers[static_cast<size_t>(i)], 8 * e + i) << e;
    }
  }
}

// A router of which one row is far below the others: nobody chooses that expert.
TEST_F(MixtureModelTest, ExpertsThatNobodyChoseTakeTheSharedHessian) {
  Open({.hidden = 128, .inner = 64, .layers = 2, .heads = 2, .kv_heads = 1, .experts = 60}, "many");
  Quantize("many-experts", Small("atom-w4a4"), /*simulated=*/false, 2);
  const io::Json report =
      io::ReadJsonFile(folder_ / "many-experts" / "quantize_report.json").value();
  EXPECT_FALSE(report.at("layers")[0].contains("expert_tokens"));
  const io::Json& layer = report.at("layers")[1];
  const auto tokens = layer.at("expert_tokens").get<std::vector<int64_t>>();
  const auto shared = layer.at("experts_of_shared_hessian").get<std::vector<int32_t>>();
  ASSERT_EQ(tokens.size(), 60u);
  int64_t sum = 0;
  for (size_t e = 0; e < tokens.size(); ++e) {
    sum += tokens[e];
    const bool listed = std::ranges::find(shared, static_cast<int32_t>(e)) != shared.end();
    EXPECT_EQ(listed, tokens[e] < LeastExpertTokens(64)) << e;
  }
  EXPECT_EQ(sum, 2 * 6 * kLength);
  ASSERT_FALSE(shared.empty());
  // Quantized like any other: no zeros, and about as near to what it was.
  const artifact::HostLayer source = files_->ReadLayer(1).value();
  const artifact::HostLayer quantized = Layer("many-experts", 1);
  const LinearName name(LinearRole::kDown, shared.front());
  const std::vector<float> w = source[name].ToFloats(), q = quantized[name].ToFloats();
  const quant::Permutation& order =
      quantized[SiteName(SiteRole::kDown, shared.front())].permutation;
  double error = 0.0, norm = 0.0;
  for (size_t row = 0; row < w.size() / 64; ++row) {
    for (size_t k = 0; k < 64; ++k) {
      const double want = w[row * 64 + static_cast<size_t>(order.source()[k])];
      error += (q[row * 64 + k] - want) * (q[row * 64 + k] - want);
      norm += want * want;
    }
  }
  EXPECT_LT(error / norm, 0.05);
}

/// Their Hessian is that of all experts' channels, brought to the order of each, and rotated.
TEST_F(ExpertOrderTest, ExpertsThatNobodyChoseTakeTheSharedHessianInTheirOrder) {
  Open({.hidden = 128, .inner = 64, .heads = 2, .kv_heads = 1, .experts = 60}, "many");
  quant::Recipe recipe = Own("w4a8");
  Quantize("own", recipe, /*simulated=*/false, 2);
  recipe.expert_order = quant::ExpertOrder::kShared;
  Quantize("shared", recipe, /*simulated=*/false, 2);
  if (HasFatalFailure()) return;
  const io::Json own = io::ReadJsonFile(folder_ / "own" / "quantize_report.json").value();
  const io::Json& few = own.at("layers")[1].at("experts_of_shared_hessian");
  ASSERT_FALSE(few.empty());
  const artifact::HostLayer own_layer = Layer("own", 1);
  const std::optional<model::ModelFiles> own_files = std::move(opened_);
  const artifact::HostLayer shared_layer = Layer("shared", 1);
  double difference = 0.0, norm = 0.0;
  for (const io::Json& expert : few) {
    // Few tokens order nothing either: the columns are those of the other, and so, but for what
    // other experts' inputs were rounded to, is the Hessian. So most codes are the same.
    const LinearName name(LinearRole::kDown, expert.get<int32_t>());
    const std::vector<float> w = own_layer[name].ToFloats(), other = shared_layer[name].ToFloats();
    for (size_t i = 0; i < w.size(); ++i) {
      difference += (w[i] - other[i]) * (w[i] - other[i]);
      norm += other[i] * other[i];
    }
  }
  EXPECT_LT(difference / norm, 5e-4);  // 5e-3 where the Hessian's channels are in another order
  EXPECT_NEAR(Perplexity(folder_ / "own", false) / Perplexity(folder_ / "many", false), 1.0, 0.3);
}

TEST_F(MixtureModelTest, AnotherCountOfExpertsThanTheConfigIsRefused) {
  io::Json config = io::ReadJsonFile(folder_ / "model" / "config.json").value();
  for (const int64_t experts : {4, 6}) {
    config["num_experts"] = experts;
    tests::WriteText(folder_ / "model" / "config.json", config.dump());
    const model::ModelFiles files = model::ModelFiles::Open(folder_ / "model").value();
    const auto layer = files.ReadLayer(1);
    ASSERT_FALSE(layer.ok());
    EXPECT_THAT(layer.error().message, testing::HasSubstr("model.layers.1.mlp."));
  }
}

}  // namespace
}  // namespace atom::pipeline
