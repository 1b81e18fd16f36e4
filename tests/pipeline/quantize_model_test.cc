// The offline flow on a small random model: what any recipe must keep, resuming, determinism.
#include "atom/pipeline/quantize_model.h"

#include <fstream>

#include "atom/pipeline/quantize_layer.h"

#include "quantize_fixture.h"

namespace atom::pipeline {
namespace {

TEST_F(QuantizeModelTest, PackedAndSimulatedAgreeOnEveryPresetWithKernels) {
  const double fp = Perplexity(folder_ / "model", false);
  for (const char* name :
       {"atom-w4a4", "w4a8", "w4a16", "w4a8-plain", "w8a8", "w4a16-plain", "rtn-w4a4"}) {
    SCOPED_TRACE(name);
    Quantize(name, Preset(name), /*simulated=*/false, 2);
    const double packed = Perplexity(folder_ / name, false);
    EXPECT_NEAR(packed / Perplexity(folder_ / name, true), 1.0, 1e-3);
    EXPECT_NEAR(packed / Perplexity(folder_ / name, false, "reference"), 1.0, 5e-4);
    EXPECT_NEAR(packed / fp, 1.0, 0.2);
    EXPECT_NE(packed, fp);
  }
}

// What `atom quantize` takes by itself runs on packed codes wherever it is taken.
TEST_F(QuantizeModelTest, TheDefaultRecipeHasKernelsOnEveryBackendOfACpu) {
  for (const char* name : {"cpu", "reference"}) {
    const auto backend = kernels::MakeBackend(name, {.threads = 2}).value();
    EXPECT_TRUE(model::MissingKernels(Preset("w4a8"), *backend).empty()) << name;
  }
}

/// Bytes of a mapped file that are in memory now.
int64_t ResidentBytes(const std::filesystem::path& file) {
  std::ifstream maps("/proc/self/smaps");
  int64_t kib = 0;
  bool of_file = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("-") < line.find(":")) of_file = line.ends_with(file.string());
    if (of_file && line.starts_with("Rss:")) kib += std::stoll(line.substr(4));
  }
  return kib * 1024;
}

// A model larger than memory is quantized too: of its files no more than a layer stays.
TEST_F(QuantizeModelTest, LayersThatWereReadGoBackToTheSystem) {
  Open({.hidden = 512, .inner = 1024, .layers = 4}, "layers");
  const std::filesystem::path file = folder_ / "layers" / "model.safetensors";
  EXPECT_FALSE(files_->checkpoint.Fingerprint().empty());
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(file));
  EXPECT_LT(ResidentBytes(file), bytes / 4);
  Quantize("artifact", Preset("w4a8"), /*simulated=*/false, 2);
  EXPECT_GT(ResidentBytes(file), 0);
  EXPECT_LT(ResidentBytes(file), bytes / 2);
}

/// The linears' best recipe, for a model as small as this one.
quant::Recipe TwoLevelRecipe(int activation_bits) {
  quant::Recipe recipe = Preset("atom-w4a4");
  recipe.name = "two-level";
  recipe.outliers = 8;
  recipe.weight.group = 8;
  recipe.weight.channel_group = 1;
  recipe.weight.scales = quant::ScaleFormat::kTwoLevel;
  recipe.activation = {.bits = activation_bits};
  if (activation_bits == 4) {
    recipe.activation.group = 8;
    recipe.activation.scales = quant::ScaleFormat::kTwoLevel;
    recipe.activation.clip = {.ratio = 1.0f, .search = true};
  }
  recipe.deal = quant::Deal::kZigzag;
  recipe.hadamard = true;
  return recipe;
}

TEST_F(QuantizeModelTest, TwoLevelScalesRotatedPackedAndFakeQuantizedAreTheSameBits) {
  const double fp = Perplexity(folder_ / "model", false);
  for (const int bits : {4, 8, 16}) {
    SCOPED_TRACE(bits);
    quant::Recipe recipe = TwoLevelRecipe(bits);
    recipe.kv.bits = 16;
    const std::string name = "two-level-" + std::to_string(bits);
    Quantize(name, recipe, /*simulated=*/false, 2);
    const double packed = Perplexity(folder_ / name, false, "reference");
    EXPECT_EQ(packed, Perplexity(folder_ / name, true, "reference"));
    EXPECT_NEAR(packed / fp, 1.0, 0.2);
    // The cpu backend gives the same bits, but for the order in which the loss is added in double.
    EXPECT_NEAR(packed / Perplexity(folder_ / name, false), 1.0, 1e-6);
    EXPECT_NEAR(packed / Perplexity(folder_ / name, true), 1.0, 1e-6);
    // An artifact of dequantized weights is the same computation on both, likewise.
    Quantize(name + "-simulated", recipe, /*simulated=*/true, 2);
    const double simulated = Perplexity(folder_ / (name + "-simulated"), false);
    EXPECT_NEAR(simulated / Perplexity(folder_ / (name + "-simulated"), false, "reference"), 1.0,
                1e-6);
    EXPECT_NEAR(packed / simulated, 1.0, 0.05);
  }
}

TEST_F(QuantizeModelTest, RotationAloneHasPackedKernelsOnCpu) {
  quant::Recipe recipe = TwoLevelRecipe(4);
  recipe.weight.scales = recipe.activation.scales = quant::ScaleFormat::kFp16;
  Quantize("rotated", recipe, false, 2);
  const double packed = Perplexity(folder_ / "rotated", false);
  EXPECT_NEAR(packed / Perplexity(folder_ / "rotated", false, "reference"), 1.0, 1e-6);
  EXPECT_NEAR(packed / Perplexity(folder_ / "rotated", true), 1.0, 1e-3);
}

/// Rotating both operands of a product in fp32 changes nothing but its rounding.
TEST_F(QuantizeModelTest, RotationOfSixteenBitActivationsIsUndoneByTheWeights) {
  quant::Recipe recipe;
  recipe.name = "rotated-w4a16";
  recipe.weight = {.bits = 4, .group = 8};
  recipe.reorder = true;
  recipe.hadamard = true;
  recipe.outliers = 8;
  Quantize("w4a16", recipe, false, 2);
  EXPECT_NEAR(Perplexity(folder_ / "w4a16", false) / Perplexity(folder_ / "model", false), 1.0,
              0.1);
}

TEST_F(QuantizeModelTest, EightBitsAreNearlyLossless) {
  Quantize("w8a8", Preset("w8a8"), false, 2);
  EXPECT_NEAR(Perplexity(folder_ / "w8a8", false) / Perplexity(folder_ / "model", false), 1.0,
              0.02);
}

TEST_F(QuantizeModelTest, NoneLeavesTheModelAsItIs) {
  Quantize("none", Preset("none"), false, 2);
  EXPECT_DOUBLE_EQ(Perplexity(folder_ / "none", false), Perplexity(folder_ / "model", false));
}

TEST_F(QuantizeModelTest, SimulatedRecipesRun) {
  for (const char* name : {"atom-w3a3", "atom-fp4"}) {
    SCOPED_TRACE(name);
    Quantize(name, Preset(name), false, 2);
    EXPECT_TRUE(std::isfinite(Perplexity(folder_ / name, false)));
    EXPECT_TRUE(model::ModelFiles::Open(folder_ / name)->quantization->simulated);
  }
}

TEST_F(QuantizeModelTest, SearchedClipsAreNoWorseThanNone) {
  quant::Recipe recipe = Preset("atom-w4a4");
  recipe.weight.clip = {.ratio = 1.0f, .search = true};
  recipe.activation.clip = {.ratio = 1.0f, .search = true};
  recipe.kv.clip = {.ratio = 1.0f, .search = true};
  Quantize("searched", recipe, false, 2);
  const auto files = model::ModelFiles::Open(folder_ / "searched");
  ASSERT_TRUE(files.ok());
  for (const artifact::LayerClips& clips : files->quantization->layers) {
    for (const auto& [site, clip] : clips.activation) EXPECT_LE(clip, 1.0f);
    EXPECT_LE(clips.kv, 1.0f);
  }
  EXPECT_TRUE(std::isfinite(Perplexity(folder_ / "searched", false)));
}

std::string Bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void ExpectSameFolder(const std::filesystem::path& a, const std::filesystem::path& b) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(a)) {
    EXPECT_EQ(Bytes(entry.path()), Bytes(b / entry.path().filename())) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, static_cast<size_t>(std::distance(std::filesystem::directory_iterator(b),
                                                     std::filesystem::directory_iterator())));
}

TEST_F(QuantizeModelTest, BytesDoNotDependOnThreads) {
  Quantize("one", Preset("atom-w4a4"), false, 1);
  Quantize("three", Preset("atom-w4a4"), false, 3);
  ExpectSameFolder(folder_ / "one", folder_ / "three");
}

/// Fails once, before writing the given layer.
class FailingSink : public ArtifactSink {
 public:
  FailingSink(artifact::ArtifactWriter& writer, int64_t layer)
      : ArtifactSink(writer), layer_(layer) {}
  Status WriteLayer(int64_t layer, artifact::HostLayer host) override {
    if (layer == layer_) return MakeError("stopped here");
    return ArtifactSink::WriteLayer(layer, std::move(host));
  }

 private:
  int64_t layer_;
};

TEST_F(QuantizeModelTest, AResumedRunWritesTheSameBytes) {
  const quant::Recipe recipe = Preset("atom-w4a4");
  Quantize("whole", recipe, false, 2);
  for (int64_t stop = 0; stop < files_->spec.num_layers(); ++stop) {
    const std::string name = fmt::format("stopped-{}", stop);
    {
      const auto backend = Backend();
      const auto algebra = quant::MakeCpuAlgebra();
      Result<artifact::ArtifactWriter> writer = artifact::ArtifactWriter::Open(
          folder_ / name, artifact::ToJson(ConfigOf(recipe, false)), files_->spec.num_layers());
      ASSERT_TRUE(writer.ok());
      FailingSink sink(*writer, stop);
      const QuantizeOptions options{
          .recipe = recipe, .spill_folder = folder_.path(), .plan = nullptr};
      EXPECT_FALSE(QuantizeModel(*files_, calibration_, *backend, *algebra, options, sink).ok());
    }
    Quantize(name, recipe, false, 2);
    ExpectSameFolder(folder_ / "whole", folder_ / name);
  }
}

TEST_F(QuantizeModelTest, PermutedLayersComputeTheSameFunction) {
  const auto backend = Backend();
  const QuantizeOptions options{
      .recipe = Preset("atom-w4a4"), .spill_folder = folder_.path(), .plan = nullptr};
  ThreadPool pool(2);
  const auto plan = MakePlan(*files_, calibration_, *backend, options);
  ASSERT_TRUE(plan.ok());
  ASSERT_FALSE((*plan)[0].at(artifact::SiteRole::kQkv).empty());
  const auto text = eval::CutWindows(text_, *tokenizer_, kLength, 3);
  double perplexity[2] = {0.0, 0.0};
  for (const bool permuted : {false, true}) {
    model::Transformer transformer(*backend, files_->spec, {.rows = kLength, .positions = kLength});
    ASSERT_TRUE(model::LoadOuterWeights(*files_, DType::kF32, transformer).ok());
    for (int64_t i = 0; i < files_->spec.num_layers(); ++i) {
      const auto layer = files_->ReadLayer(i);
      ASSERT_TRUE(layer.ok());
      transformer.AddLayer(permuted ? PermuteLayer(*layer, (*plan)[static_cast<size_t>(i)], pool)
                                    : PermuteLayer(*layer, {}, pool));
    }
    perplexity[permuted ? 1 : 0] = eval::MeasurePerplexity(transformer, *text, nullptr)->perplexity;
  }
  EXPECT_NEAR(perplexity[1] / perplexity[0], 1.0, 1e-5);
}

// Some linears have outliers alone, some groups and outliers, some less than a group.
TEST_F(QuantizeModelTest, NarrowModelsBecomeArtifactsThatRun) {
  Open({.hidden = 192, .inner = 250, .heads = 3, .kv_heads = 3}, "narrow");
  for (const char* name : {"atom-w4a4", "atom-best", "w4a8", "w4a16"}) {
    Quantize(name, Preset(name), false, 2);
    if (HasFatalFailure()) return;
    const double packed = Perplexity(folder_ / name, false);
    EXPECT_NEAR(Perplexity(folder_ / name, true) / packed, 1.0, 0.05) << name;
    EXPECT_NEAR(Perplexity(folder_ / "narrow", false) / packed, 1.0, 0.2) << name;
  }
}

TEST_F(QuantizeModelTest, AModelWhoseActivationsOverflowIsRefusedByItsLayer) {
  Open({.layers = 3, .overflow_layer = 1}, "overflow");
  // With an order of channels, in true order, neither.
  for (const char* name : {"atom-w4a4", "w4a8", "rtn-w4a4"}) {
    const quant::Recipe recipe = Preset(name);
    const auto backend = Backend();
    const auto algebra = quant::MakeCpuAlgebra();
    Result<artifact::ArtifactWriter> writer = artifact::ArtifactWriter::Open(
        folder_ / name, artifact::ToJson(ConfigOf(recipe, false)), files_->spec.num_layers());
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    ArtifactSink sink(*writer);
    const Result<QuantizeReport> report =
        QuantizeModel(*files_, calibration_, *backend, *algebra,
                      {.recipe = recipe, .spill_folder = folder_.path(), .plan = nullptr}, sink);
    ASSERT_FALSE(report.ok()) << name;
    EXPECT_EQ(report.error().message,
              "layer 1: its output is not finite, expected activations that fp32 holds")
        << name;
  }
}

TEST_F(QuantizeModelTest, ReportAddsUpBits) {
  const auto backend = Backend();
  const auto algebra = quant::MakeCpuAlgebra();
  model::Transformer transformer(*backend, files_->spec, {.rows = kLength, .positions = kLength});
  TransformerSink sink(transformer);
  const auto report = QuantizeModel(
      *files_, calibration_, *backend, *algebra,
      {.recipe = Preset("atom-w4a4"), .spill_folder = folder_.path(), .plan = nullptr}, sink);
  ASSERT_TRUE(report.ok());
  // K = 256: 128 x 4 + 128 x 8 + 2 scales of 16 bits; K = 384: 256 x 4 + 128 x 8 + 3 scales.
  const double k256 = 256.0 * (256 + 128 + 128 + 256 + 2 * 384);
  const double k384 = 384.0 * 256;
  const double bits = k256 * (128 * 12 + 32) / 256 + k384 * (256 * 4 + 128 * 8 + 48) / 384;
  EXPECT_NEAR(report->bits_per_weight_linears, bits / (k256 + k384), 1e-9);
  EXPECT_GT(report->bits_per_weight_model, report->bits_per_weight_linears);
}

}  // namespace
}  // namespace atom::pipeline
