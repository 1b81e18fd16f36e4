// The embedded model, quantized on two windows: packed codes, fake quantization, the CPU kernels
// and the reference agree on its perplexity.
#include <cmath>
#include <gtest/gtest.h>

#include "atom/artifact/writer.h"
#include "atom/eval/perplexity.h"
#include "atom/kernels/registry.h"
#include "atom/model/weights.h"
#include "atom/pipeline/quantize_model.h"

#include "tests/tiny_model.h"

namespace atom::eval {
namespace {

const std::filesystem::path kModel = std::filesystem::path(ATOM_SOURCE_DIR) / "models/atom-demo";
const std::filesystem::path kData = std::filesystem::path(ATOM_SOURCE_DIR) / "data";

class EmbeddedModelSlowTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    files_.emplace(model::ModelFiles::Open(kModel).value());
    tokenizer_ = tokenizer::Tokenizer::Load(kModel).value();
  }

  io::DataFolders Folders() const { return io::FindDataFolders(kData); }

  /// Quantizes with two calibration windows into folder_/artifact.
  void Quantize(const char* preset) {
    const auto backend = kernels::MakeBackend("cpu", {.threads = 0}).value();
    const auto algebra = quant::MakeCpuAlgebra();
    const auto calibration = pipeline::SampleCalibration(
        io::LoadCalibrationDataset("wikitext2", Folders()).value(), *tokenizer_, {.samples = 2});
    ASSERT_TRUE(calibration.ok());
    artifact::QuantizationConfig config;
    config.recipe = quant::FindRecipe(preset).value();
    config.tool_version = "test";
    config.calibration = calibration->record;
    auto writer = artifact::ArtifactWriter::Open(folder_ / "artifact", artifact::ToJson(config),
                                                 files_->spec.num_layers());
    ASSERT_TRUE(writer.ok());
    pipeline::ArtifactSink sink(*writer);
    const auto report = pipeline::QuantizeModel(
        *files_, *calibration, *backend, *algebra,
        {.recipe = config.recipe, .spill_folder = folder_.path(), .plan = nullptr}, sink);
    ASSERT_TRUE(report.ok());
    for (const auto& layer : report->layers) config.layers.push_back(layer.clips);
    const model::CheckpointTensors tensors = files_->tensors();
    const artifact::SourceModel source{.files = files_->checkpoint,
                                       .tensors = tensors,
                                       .outer = model::OuterTensors(files_->spec)};
    ASSERT_TRUE(writer->Finish(source, config, pipeline::ToJson(*report)).ok());
  }

  double Perplexity(const std::string& backend_name, bool simulate) {
    const auto files = model::ModelFiles::Open(folder_ / "artifact").value();
    const auto backend = kernels::MakeBackend(backend_name, {.threads = 0}).value();
    const auto transformer =
        model::LoadTransformer(files, *backend,
                               {.simulate = simulate, .limits = {.rows = 512, .positions = 2048}})
            .value();
    const auto text =
        CutWindows(io::LoadEvalDataset("wikitext2-raw", Folders()).value(), *tokenizer_, 512, 1)
            .value();
    return MeasurePerplexity(*transformer, text, nullptr)->perplexity;
  }

  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
};

TEST_P(EmbeddedModelSlowTest, BackendsAndSimulationAgree) {
  Quantize(GetParam());
  const double packed = Perplexity("cpu", false);
  // Every rounding is shared (docs/numerics.md, 1): what is left is the sum of the losses.
  EXPECT_NEAR(packed / Perplexity("cpu", true), 1.0, 1e-8);
  EXPECT_NEAR(packed / Perplexity("reference", false), 1.0, 1e-8);
}

INSTANTIATE_TEST_SUITE_P(Presets, EmbeddedModelSlowTest, ::testing::Values("atom-w4a4", "w8a8"));

}  // namespace
}  // namespace atom::eval
