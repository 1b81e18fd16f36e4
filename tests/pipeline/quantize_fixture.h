// A small random checkpoint with calibration windows, and what tests of the offline flow do with
// it: quantize it into a folder, and measure the result.
#pragma once

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/eval/perplexity.h"
#include "atom/kernels/registry.h"
#include "atom/model/weights.h"
#include "atom/pipeline/quantize_model.h"

#include "tests/tiny_model.h"

namespace atom::pipeline {

inline constexpr int64_t kLength = 96;

/// A tiny checkpoint opened, with calibration windows.
class QuantizeModelTest : public ::testing::Test {
 protected:
  void SetUp() override { Open({.attention_bias = true, .mlp_bias = true}, "model"); }

  /// Writes and opens another model, with windows of its tokenizer.
  void Open(const tests::TinyModel& model, const std::string& name) {
    std::filesystem::create_directory(folder_ / name);
    tests::WriteTinyModel(model, folder_ / name);
    OpenWritten(name);
  }

  /// Opens the model that was written to folder_/name.
  void OpenWritten(const std::string& name) {
    Result<model::ModelFiles> files = model::ModelFiles::Open(folder_ / name);
    ASSERT_TRUE(files.ok()) << files.error().message;
    files_.emplace(std::move(files).value());
    Result<std::unique_ptr<tokenizer::Tokenizer>> tokenizer =
        tokenizer::Tokenizer::Load(folder_ / name);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::move(tokenizer).value();
    const io::Dataset text{
        .name = "tiny", .file = {}, .text = tests::TinyText(3000), .documents = {}};
    Result<Calibration> calibration =
        SampleCalibration(text, *tokenizer_, {.samples = 6, .sequence_length = kLength, .seed = 0});
    ASSERT_TRUE(calibration.ok()) << calibration.error().message;
    calibration_ = std::move(calibration).value();
    text_ = text;
  }

  std::unique_ptr<kernels::Backend> Backend(int threads = 2) {
    auto backend = kernels::MakeBackend("cpu", {.threads = threads});
    EXPECT_TRUE(backend.ok());
    return std::move(backend).value();
  }

  artifact::QuantizationConfig ConfigOf(const quant::Recipe& recipe, bool simulated) const {
    artifact::QuantizationConfig config;
    config.recipe = recipe;
    config.simulated = simulated || !quant::HasKernels(recipe);
    config.tool_version = "test";
    config.calibration = calibration_.record;
    return config;
  }

  /// Quantizes into folder_/name; stops after `layers` layers when that is fewer than all.
  void Quantize(const std::string& name, const quant::Recipe& recipe, bool simulated, int threads) {
    const auto backend = Backend(threads);
    const auto algebra = quant::MakeCpuAlgebra();
    artifact::QuantizationConfig config = ConfigOf(recipe, simulated);
    Result<artifact::ArtifactWriter> writer = artifact::ArtifactWriter::Open(
        folder_ / name, artifact::ToJson(config), files_->spec.num_layers());
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    ArtifactSink sink(*writer);
    const QuantizeOptions options{
        .recipe = recipe, .simulated = simulated, .spill_folder = folder_.path(), .plan = nullptr};
    const Result<QuantizeReport> report =
        QuantizeModel(*files_, calibration_, *backend, *algebra, options, sink);
    ASSERT_TRUE(report.ok()) << report.error().message;
    for (const LayerReport& layer : report->layers) {
      config.layers.push_back(layer.clips);
      EXPECT_GE(layer.error, 0.0);
      EXPECT_LT(layer.error, 0.5);
    }
    config.bits_per_weight_linears = report->bits_per_weight_linears;
    config.bits_per_weight_model = report->bits_per_weight_model;
    const model::CheckpointTensors tensors = files_->tensors();
    const Status finished = writer->Finish({.files = files_->checkpoint,
                                            .tensors = tensors,
                                            .outer = model::OuterTensors(files_->spec)},
                                           config, ToJson(*report));
    ASSERT_TRUE(finished.ok()) << finished.error().message;
  }

  double Perplexity(const std::filesystem::path& dir, bool simulate,
                    const std::string& backend_name = "cpu") {
    const Result<model::ModelFiles> files = model::ModelFiles::Open(dir);
    EXPECT_TRUE(files.ok()) << (files.ok() ? "" : files.error().message);
    if (!files.ok()) return NAN;
    auto backend = kernels::MakeBackend(backend_name, {.threads = 2});
    const auto transformer = model::LoadTransformer(
        *files, **backend, {.simulate = simulate, .limits = {.rows = 50, .positions = kLength}});
    EXPECT_TRUE(transformer.ok()) << (transformer.ok() ? "" : transformer.error().message);
    if (!transformer.ok()) return NAN;
    const auto text = eval::CutWindows(text_, *tokenizer_, kLength, 4);
    return eval::MeasurePerplexity(**transformer, *text, nullptr)->perplexity;
  }

  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  Calibration calibration_;
  io::Dataset text_;
};

inline quant::Recipe Preset(const char* name) { return quant::FindRecipe(name).value(); }

}  // namespace atom::pipeline
