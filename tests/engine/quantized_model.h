// Small random models as artifacts: by any recipe, or 4-bit weights, activations and KV.
#pragma once

#include <fmt/format.h>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "atom/kernels/registry.h"
#include "atom/model/weights.h"
#include "atom/pipeline/quantize_layer.h"
#include "atom/pipeline/quantize_model.h"

#include "tests/tiny_model.h"

namespace atom::tests {

/// Writes the artifact of the checkpoint in `from` to `to`, which is created.
inline void WriteArtifact(const std::filesystem::path& from, const std::filesystem::path& to,
                          const quant::Recipe& recipe) {
  const model::ModelFiles files = model::ModelFiles::Open(from).value();
  const auto tokenizer = tokenizer::Tokenizer::Load(from).value();
  const io::Dataset text{.name = "tiny", .file = {}, .text = TinyText(3000), .documents = {}};
  const pipeline::Calibration calibration =
      pipeline::SampleCalibration(text, *tokenizer, {.samples = 4, .sequence_length = 96}).value();
  const auto backend = kernels::MakeBackend("cpu", {.threads = 2}).value();
  const auto algebra = quant::MakeCpuAlgebra();

  artifact::QuantizationConfig config;
  config.recipe = recipe;
  config.tool_version = "test";
  config.calibration = calibration.record;
  Result<artifact::ArtifactWriter> writer =
      artifact::ArtifactWriter::Open(to, artifact::ToJson(config), files.spec.num_layers());
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  pipeline::ArtifactSink sink(*writer);
  const pipeline::QuantizeOptions options{
      .recipe = config.recipe, .simulated = false, .spill_folder = from, .plan = nullptr};
  const Result<pipeline::QuantizeReport> report =
      pipeline::QuantizeModel(files, calibration, *backend, *algebra, options, sink);
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const pipeline::LayerReport& layer : report->layers) config.layers.push_back(layer.clips);
  const Status finished = writer->Finish({.files = files.checkpoint,
                                          .tensors = files.tensors(),
                                          .outer = model::OuterTensors(files.spec)},
                                         config, ToJson(*report));
  ASSERT_TRUE(finished.ok()) << finished.error().message;
}

/// Writes the checkpoint to `from` and its artifact to `to`; both are created.
inline void WriteQuantizedTinyModel(const std::filesystem::path& from,
                                    const std::filesystem::path& to, const quant::Recipe& recipe,
                                    const TinyModel& model = {}) {
  std::filesystem::create_directory(from);
  WriteTinyModel(model, from);
  WriteArtifact(from, to, recipe);
}

inline void WriteQuantizedTinyModel(const std::filesystem::path& from,
                                    const std::filesystem::path& to, int64_t exact_window = 0,
                                    const TinyModel& model = {}) {
  quant::Recipe recipe = quant::FindRecipe("atom-w4a4").value();
  recipe.kv.exact_window = exact_window;
  WriteQuantizedTinyModel(from, to, recipe, model);
}

/// A folder that `write` fills, once for all tests of this program that name it so.
inline std::filesystem::path WrittenOnce(
    const std::string& name, const std::function<void(const std::filesystem::path&)>& write) {
  static std::map<std::string, TemporaryFolder> folders;
  const auto [found, is_new] = folders.try_emplace(name);
  if (is_new) write(found->second.path());
  return found->second.path();
}

/// An artifact by atom-w4a4, with windows of these lengths.
inline std::filesystem::path QuantizedTinyModel(int64_t exact_window, int64_t window) {
  const auto write = [&](const std::filesystem::path& folder) {
    WriteQuantizedTinyModel(folder / "model", folder / "artifact", exact_window,
                            {.window = window});
  };
  return WrittenOnce(fmt::format("tiny {} {}", exact_window, window), write) / "artifact";
}

}  // namespace atom::tests
