// Quantizing in true order on a small random model: what each site saw, resuming, what corrects
// nothing.
#include "atom/pipeline/sequential_layer.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/kernels/registry.h"
#include "atom/model/weights.h"
#include "atom/pipeline/quantize_model.h"
#include "atom/pipeline/site_observers.h"

#include "tests/tiny_model.h"

namespace atom::pipeline {
namespace {

constexpr int64_t kLength = 48;
constexpr int64_t kSamples = 5;

quant::Recipe Everything() {
  quant::Recipe recipe = quant::FindRecipe("atom-w4a4").value();
  recipe.name = "everything";
  recipe.weight.group = 64;
  recipe.activation.group = 64;
  recipe.outliers = 64;
  recipe.weight.channel_group = 1;
  recipe.weight.clip = {.ratio = 1.0f, .search = true};
  recipe.weight.clip_per_group = true;
  recipe.weight.sequential = true;
  recipe.weight.token_cap = 2.0;
  recipe.weight.correction = 0.5;
  return recipe;
}

class SequentialLayerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::TinyModel model;
    model.attention_bias = true;
    std::filesystem::create_directory(folder_ / "model");
    tests::WriteTinyModel(model, folder_ / "model");
    Result<model::ModelFiles> files = model::ModelFiles::Open(folder_ / "model");
    ASSERT_TRUE(files.ok()) << files.error().message;
    files_.emplace(std::move(files).value());
    auto tokenizer = tokenizer::Tokenizer::Load(folder_ / "model");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    const io::Dataset text{
        .name = "tiny", .file = {}, .text = tests::TinyText(3000), .documents = {}};
    calibration_ = SampleCalibration(text, **tokenizer,
                                     {.samples = kSamples, .sequence_length = kLength, .seed = 0})
                       .value();
    backend_ = kernels::MakeBackend("cpu", {.threads = 2}).value();
    algebra_ = quant::MakeCpuAlgebra(2);
    transformer_ = std::make_unique<model::Transformer>(
        *backend_, files_->spec, model::Transformer::Limits{.rows = kLength, .positions = kLength});
    ASSERT_TRUE(model::LoadOuterWeights(*files_, DType::kF32, *transformer_).ok());
  }

  CalibrationStream NewStream() {
    CalibrationStream stream(
        *transformer_, calibration_.windows,
        HiddenStore::Create(kSamples, kLength, files_->spec.hidden_size, 1 << 30, ".").value());
    stream.EmbedAll(nullptr);
    return stream;
  }

  LayerResult QuantizeFirstLayer(const quant::Recipe& recipe, CalibrationStream& stream,
                                 CalibrationStream* unquantized) {
    const artifact::LayerShape shape = model::ShapeOfLayer(files_->spec, 0);
    const LayerContext context{.recipe = recipe,
                               .spec = files_->spec.layer(0),
                               .shape = shape,
                               .algebra = *algebra_,
                               .transformer = *transformer_,
                               .stream = stream,
                               .unquantized = unquantized};
    Result<LayerResult> result = QuantizeLayer(context, files_->ReadLayer(0).value(), {}, nullptr);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(result).value();
  }

  /// The inputs of a site in a layer, all samples.
  std::vector<std::vector<float>> Inputs(const artifact::HostLayer& layer, artifact::SiteRole site,
                                         CalibrationStream& stream, model::LayerPart part) {
    const model::DeviceLayer device(*backend_, files_->spec.layer(0), layer);
    transformer_->Prepare(device);
    const auto kv = stream.MakeKv(device);
    CaptureObserver observer(*backend_, site, false);
    std::vector<std::vector<float>> inputs;
    for (int64_t sample = 0; sample < kSamples; ++sample) {
      stream.RunSample({.layer = device, .kv = *kv, .part = part}, sample, &observer, nullptr);
      const std::span<const float> input = observer.Take();  // the backend's memory is the host's
      inputs.emplace_back(input.begin(), input.end());
    }
    return inputs;
  }

  /// Quantizes the model into folder_/name, stopping before layer `stop`; true when it was whole.
  bool Quantize(const std::string& name, const quant::Recipe& recipe, int threads, int64_t stop);

  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  Calibration calibration_;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<quant::DenseAlgebra> algebra_;
  std::unique_ptr<model::Transformer> transformer_;
};

TEST_F(SequentialLayerTest, EachSiteSeesTheLinearsQuantizedBeforeIt) {
  quant::Recipe recipe = Everything();
  recipe.weight.correction = 0.0;
  CalibrationStream stream = NewStream();
  const LayerResult result = QuantizeFirstLayer(recipe, stream, nullptr);

  // The whole quantized layer, run once more: a site's input depends on what is before it alone.
  const artifact::HostLayer simulated =
      SimulatedLayer(recipe, result.clips, result.host, algebra_->pool());
  const artifact::HostLayer exact =
      PrepareLayer(recipe, files_->ReadLayer(0).value(), {}, algebra_->pool());
  CalibrationStream again = NewStream();
  using artifact::SiteRole;
  using model::LayerPart;
  for (const auto& [site, part] : {std::pair{SiteRole::kQkv, LayerPart::kAttention},
                                   {SiteRole::kO, LayerPart::kAttention},
                                   {SiteRole::kGateUp, LayerPart::kFfn},
                                   {SiteRole::kDown, LayerPart::kFfn}}) {
    const auto inputs = Inputs(simulated, site, again, part);
    const auto k = static_cast<int64_t>(inputs[0].size()) / kLength;
    const quant::WeightFormat format = quant::WeightFormatFor(recipe);
    SiteHessian hessian(*algebra_, {.k = k,
                                    .outliers = format.OutlierColumns(k),
                                    .samples = kSamples,
                                    .token_cap = recipe.weight.token_cap});
    for (std::vector<float> x : inputs) hessian.AddSample(x, {}, kLength);
    hessian.Finish();
    for (const artifact::HostLinear& linear : result.host.linears) {
      if (artifact::InputSite(linear.name) != artifact::SiteName(site)) continue;
      const auto expected = quant::QuantizeWeight(exact[linear.name].ToFloats(), linear.n(), k,
                                                  format, hessian.hessian(), *algebra_);
      ASSERT_TRUE(expected.ok());
      EXPECT_EQ(linear.ToFloats(), expected->dense) << ToString(linear.name);
    }
    if (site != SiteRole::kO) continue;
    again.RunLayer(model::DeviceLayer(*backend_, files_->spec.layer(0), simulated), kSamples,
                   CalibrationStream::Keep::kOutput, nullptr, nullptr, nullptr,
                   LayerPart::kAttention);
  }
  // And the stream that is left is that before the FFN.
  EXPECT_EQ(Inputs(simulated, SiteRole::kGateUp, stream, LayerPart::kFfn),
            Inputs(simulated, SiteRole::kGateUp, again, LayerPart::kFfn));
}

TEST_F(SequentialLayerTest, ACorrectionOfRightInputsChangesNothing) {
  // Weights-only: the inputs of q, k, v in the first layer are those of the unquantized model.
  quant::Recipe recipe = Everything();
  recipe.activation = {};
  recipe.kv = {};
  CalibrationStream stream = NewStream();
  CalibrationStream unquantized = NewStream();
  const LayerResult corrected = QuantizeFirstLayer(recipe, stream, &unquantized);
  recipe.weight.correction = 0.0;
  CalibrationStream other = NewStream();
  const LayerResult plain = QuantizeFirstLayer(recipe, other, nullptr);
  using artifact::LinearRole;
  for (const LinearRole role : {LinearRole::kQ, LinearRole::kK, LinearRole::kV}) {
    EXPECT_EQ(corrected.host[role].ToFloats(), plain.host[role].ToFloats());
  }
  for (const LinearRole role : {LinearRole::kO, LinearRole::kGate, LinearRole::kDown}) {
    EXPECT_NE(corrected.host[role].ToFloats(), plain.host[role].ToFloats());
  }
  // The unquantized stream went through the whole layer, in halves.
  CalibrationStream halves = NewStream();
  const artifact::HostLayer exact =
      PrepareLayer(recipe, files_->ReadLayer(0).value(), {}, algebra_->pool());
  RunInHalves(halves, model::DeviceLayer(*backend_, files_->spec.layer(0), exact), nullptr);
  EXPECT_EQ(Inputs(exact, artifact::SiteRole::kQkv, halves, model::LayerPart::kAttention),
            Inputs(exact, artifact::SiteRole::kQkv, unquantized, model::LayerPart::kAttention));
}

class StoppingSink : public ArtifactSink {
 public:
  StoppingSink(artifact::ArtifactWriter& writer, int64_t layer)
      : ArtifactSink(writer), layer_(layer) {}
  Status WriteLayer(int64_t layer, artifact::HostLayer host) override {
    if (layer == layer_) return MakeError("stopped here");
    return ArtifactSink::WriteLayer(layer, std::move(host));
  }

 private:
  int64_t layer_;
};

bool SequentialLayerTest::Quantize(const std::string& name, const quant::Recipe& recipe,
                                   int threads, int64_t stop) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = threads}).value();
  const auto algebra = quant::MakeCpuAlgebra(threads);
  artifact::QuantizationConfig config;
  config.recipe = recipe;
  config.simulated = !quant::HasKernels(recipe);
  config.tool_version = "test";
  config.calibration = calibration_.record;
  Result<artifact::ArtifactWriter> writer = artifact::ArtifactWriter::Open(
      folder_ / name, artifact::ToJson(config), files_->spec.num_layers());
  EXPECT_TRUE(writer.ok());
  StoppingSink sink(*writer, stop);
  const Result<QuantizeReport> report =
      QuantizeModel(*files_, calibration_, *backend, *algebra,
                    {.recipe = recipe, .spill_folder = folder_.path(), .plan = nullptr}, sink);
  if (!report.ok()) return false;
  for (const LayerReport& layer : report->layers) {
    config.layers.push_back(layer.clips);
    EXPECT_LT(layer.error, 0.5);
    EXPECT_EQ(layer.sites.size(), 4u);
    for (const auto& [linear, of_linear] : layer.linears) {
      EXPECT_GE(of_linear.error, 0.0);
      EXPECT_LE(of_linear.error, of_linear.rounding_error);
    }
  }
  const model::CheckpointTensors tensors = files_->tensors();
  const Status finished = writer->Finish(
      {.files = files_->checkpoint, .tensors = tensors, .outer = model::OuterTensors(files_->spec)},
      config, ToJson(*report));
  EXPECT_TRUE(finished.ok());
  return true;
}

std::map<std::string, std::string> Contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    contents[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(file), {});
  }
  return contents;
}

TEST_F(SequentialLayerTest, AResumedRunWritesTheSameBytesOnAnyNumberOfThreads) {
  const quant::Recipe recipe = Everything();
  ASSERT_TRUE(Quantize("whole", recipe, 1, -1));
  for (int64_t stop = 0; stop < files_->spec.num_layers(); ++stop) {
    const std::string name = fmt::format("stopped-{}", stop);
    EXPECT_FALSE(Quantize(name, recipe, 3, stop));
    EXPECT_TRUE(Quantize(name, recipe, 2, -1));
    EXPECT_EQ(Contents(folder_ / name), Contents(folder_ / "whole"));
  }
}

TEST_F(SequentialLayerTest, MemoryIsTwoStoresAndTwoMatricesOfTheWidestSite) {
  const QuantizeOptions options{.recipe = Everything(), .plan = nullptr};
  const QuantizeMemory memory = PlanMemory(*files_, calibration_, options);
  int64_t widest = 0;
  for (const artifact::SiteShape& site : model::ShapeOfLayer(files_->spec, 0).Sites()) {
    widest = std::max(widest, site.width);
  }
  EXPECT_EQ(memory.stores, 2);
  EXPECT_EQ(memory.hidden, 2 * kSamples * kLength * files_->spec.hidden_size * 2);
  EXPECT_EQ(memory.hessians, 2 * widest * widest * 4);
  QuantizeOptions spilled = options;
  spilled.memory_limit = memory.hidden - 1;
  EXPECT_TRUE(PlanMemory(*files_, calibration_, spilled).spilled);
}

}  // namespace
}  // namespace atom::pipeline
