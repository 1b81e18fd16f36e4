// The KV fields of a recipe through the offline flow: what calibration finds, what is fused into
// the weights, and that packed codes and the simulation run to the same bits.
#include "atom/pipeline/kv_calibration.h"
#include "atom/pipeline/value_rotation.h"
#include "atom/quant/head_hadamard.h"

#include "quantize_fixture.h"

namespace atom::pipeline {
namespace {

class KvRecipeTest : public QuantizeModelTest {
 protected:
  quant::Recipe Recipe(int kv_bits = 4) {
    quant::Recipe recipe;
    recipe.name = "kv";
    recipe.kv = {.bits = kv_bits,
                 .clip = {1.0f, true},
                 .clip_per_head = true,
                 .offset = quant::KvOffset::kFloat,
                 .hadamard = true,
                 .remove_mean = true};
    return recipe;
  }

  std::vector<artifact::HostLayer> LayersOf(const std::string& name) {
    const Result<model::ModelFiles> files = model::ModelFiles::Open(folder_ / name);
    EXPECT_TRUE(files.ok()) << (files.ok() ? "" : files.error().message);
    std::vector<artifact::HostLayer> layers;
    for (int64_t i = 0; i < files->spec.num_layers(); ++i) {
      layers.push_back(std::move(files->ReadLayer(i)).value());
    }
    return layers;
  }
};

TEST_F(KvRecipeTest, PackedAndSimulatedRunToTheSameBitsOnTheReference) {
  for (const int bits : {4, 8}) {
    const std::string name = fmt::format("kv{}", bits);
    Quantize(name, Recipe(bits), /*simulated=*/false, 2);
    const double packed = Perplexity(folder_ / name, false, "reference");
    EXPECT_EQ(packed, Perplexity(folder_ / name, true, "reference"));
    // Sums of losses differ in double.
    EXPECT_NEAR(Perplexity(folder_ / name, false) / packed, 1.0, 1e-6);
    const Result<model::ModelFiles> files = model::ModelFiles::Open(folder_ / name);
    EXPECT_FALSE(files->quantization->simulated);
    for (const char* backend : {"cpu", "reference"}) {
      EXPECT_TRUE(files->MissingKernels(**kernels::MakeBackend(backend, {})).empty());
    }
  }
}

TEST_F(KvRecipeTest, QuantizedWeightsAndEverythingTogether) {
  quant::Recipe recipe = Preset("atom-w4a4");
  recipe.name = "all";
  recipe.kv = Recipe().kv;
  Quantize("all", recipe, false, 2);
  const double packed = Perplexity(folder_ / "all", false, "reference");
  EXPECT_EQ(packed, Perplexity(folder_ / "all", true, "reference"));
  EXPECT_NEAR(packed / Perplexity(folder_ / "model", false), 1.0, 0.2);
  // Weights in fp16: another rounding, after which codes of this untrained model fall another way.
  // A step of queries half or twice as large moves its perplexity by 3 %.
  Quantize("simulated", recipe, true, 3);
  EXPECT_NEAR(Perplexity(folder_ / "simulated", false) / packed, 1.0, 0.1);
}

TEST_F(KvRecipeTest, EightBitsAreNearlyLossless) {
  Quantize("kv8", Recipe(8), false, 2);
  EXPECT_NEAR(Perplexity(folder_ / "kv8", false) / Perplexity(folder_ / "model", false), 1.0, 0.01);
}

TEST_F(KvRecipeTest, EachFieldAloneRuns) {
  const double fp = Perplexity(folder_ / "model", false);
  for (int field = 0; field < 4; ++field) {
    SCOPED_TRACE(field);
    quant::Recipe recipe;
    recipe.kv.bits = 4;
    if (field == 0) recipe.kv.offset = quant::KvOffset::kFloat;
    if (field == 1) recipe.kv.hadamard = true;
    if (field == 2) recipe.kv.remove_mean = true;
    if (field == 3) recipe.kv.clip = {1.0f, true}, recipe.kv.clip_per_head = true;
    const std::string name = fmt::format("field{}", field);
    Quantize(name, recipe, false, 2);
    const double packed = Perplexity(folder_ / name, false, "reference");
    EXPECT_NEAR(Perplexity(folder_ / name, false) / packed, 1.0, 1e-6);
    EXPECT_NEAR(packed / fp, 1.0, 0.05);
    for (const artifact::HostLayer& layer : LayersOf(name)) {
      EXPECT_EQ(layer.kv.key_mean.empty(), field != 2);
      EXPECT_EQ(layer.kv.head_clips.empty(), field != 3);
    }
  }
}

TEST_F(KvRecipeTest, BytesDoNotDependOnThreads) {
  Quantize("one", Recipe(), false, 1);
  Quantize("three", Recipe(), false, 3);
  const auto one = LayersOf("one");
  const auto three = LayersOf("three");
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].kv, three[i].kv);
    EXPECT_FALSE(one[i].kv.key_mean.empty());
    for (const float clip : one[i].kv.head_clips) {
      EXPECT_GT(clip, 0.0f);
      EXPECT_LE(clip, 1.0f);
    }
  }
}

TEST_F(KvRecipeTest, MeansAreThoseOfTheRotatedKeysBehindTheFirstTokens) {
  Quantize("kv", Recipe(), false, 2);
  const std::vector<float> found = LayersOf("kv")[0].kv.key_mean;
  // The first layer sees embeddings: its keys by hand, from the pages of a plain cache.
  const auto backend = Backend();
  model::Transformer transformer(*backend, files_->spec, {.rows = kLength, .positions = kLength});
  ASSERT_TRUE(model::LoadOuterWeights(*files_, DType::kF32, transformer).ok());
  transformer.AddLayer(files_->ReadLayer(0).value());
  transformer.AddLayer(files_->ReadLayer(1).value());
  const model::AttentionSpec& spec = files_->spec.layer(0).attention;
  std::vector<double> sums(static_cast<size_t>(spec.kv_width()), 0.0);
  int64_t count = 0;
  for (const TokenWindow& window : calibration_.windows) {
    model::KvCache cache = transformer.MakeKvCache(kLength);
    transformer.ForwardHidden(transformer.OneSequence(window, 0), cache);
    const int64_t per_page = backend->kv_page_positions();
    for (int64_t p = kKvSkippedTokens; p < kLength; ++p) {
      const auto page = backend->Unpack(cache.layer(0), p / per_page);
      for (int64_t head = 0; head < spec.kv_heads; ++head) {
        for (int64_t i = 0; i < spec.head_dim; ++i) {
          sums[static_cast<size_t>(head * spec.head_dim + i)] += double{
              page.keys[static_cast<size_t>((head * per_page + p % per_page) * spec.head_dim + i)]};
        }
      }
      ++count;
    }
  }
  ASSERT_EQ(found.size(), sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    const double mean = sums[i] / static_cast<double>(count);
    EXPECT_NEAR(double{found[i]}, mean, 2e-3 + 1e-2 * std::abs(mean));  // the stream is in fp16
  }
}

TEST_F(KvRecipeTest, RotatedValuesComputeTheSameFunction) {
  const auto backend = Backend();
  const auto text = eval::CutWindows(text_, *tokenizer_, kLength, 3);
  double perplexity[2] = {0.0, 0.0};
  for (const bool rotated : {false, true}) {
    model::Transformer transformer(*backend, files_->spec, {.rows = kLength, .positions = kLength});
    ASSERT_TRUE(model::LoadOuterWeights(*files_, DType::kF32, transformer).ok());
    for (int64_t i = 0; i < files_->spec.num_layers(); ++i) {
      auto layer = ReadSourceLayer(*files_, rotated ? Recipe().kv : quant::KvRecipe{}, i);
      ASSERT_TRUE(layer.ok());
      if (rotated) layer->kv.hadamard = true;
      transformer.AddLayer(*layer);
    }
    perplexity[rotated ? 1 : 0] = eval::MeasurePerplexity(transformer, *text, nullptr)->perplexity;
  }
  EXPECT_NEAR(perplexity[1] / perplexity[0], 1.0, 1e-5);
  EXPECT_NE(perplexity[1], perplexity[0]);
}

TEST_F(KvRecipeTest, RefusesHeadsWithoutAMatrix) {
  tests::TinyModel model;
  model.head_dim = 36;
  std::filesystem::create_directory(folder_ / "odd");
  tests::WriteTinyModel(model, folder_ / "odd");
  files_.emplace(model::ModelFiles::Open(folder_ / "odd").value());
  const auto backend = Backend();
  const auto algebra = quant::MakeCpuAlgebra();
  model::Transformer transformer(*backend, files_->spec, {.rows = kLength, .positions = kLength});
  TransformerSink sink(transformer);
  const auto report =
      QuantizeModel(*files_, calibration_, *backend, *algebra,
                    {.recipe = Recipe(), .spill_folder = folder_.path(), .plan = nullptr}, sink);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message,
            "layer 0: kv.hadamard is true, expected heads of 2^n, 12 * 2^n or 20 * 2^n channels, "
            "found heads of 36");
}

}  // namespace
}  // namespace atom::pipeline
