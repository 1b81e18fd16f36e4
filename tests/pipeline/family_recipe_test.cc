// Every family is quantized by every preset, and what was written is read, and runs: as on the
// reference, as the simulation, whatever the chunks.
#include "atom/artifact/layer_tensors.h"

#include "quantize_fixture.h"
#include "tests/family_model.h"

namespace atom::pipeline {
namespace {

class FamilyRecipeTest : public QuantizeModelTest,
                         public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    QuantizeModelTest::SetUp();  // text and calibration
    std::filesystem::create_directory(folder_ / "family");
    tests::WriteFamilyModel(tests::FamilyConfig(GetParam()), folder_ / "family");
    Result<model::ModelFiles> files = model::ModelFiles::Open(folder_ / "family");
    ASSERT_TRUE(files.ok()) << files.error().message;
    files_.emplace(std::move(files).value());
  }

  /// What is read of an artifact's layers would be written as the very tensors that are there.
  void ExpectReadAsWritten(const std::string& name) {
    const model::ModelFiles files = model::ModelFiles::Open(folder_ / name).value();
    size_t in_layers = 0;
    for (const std::string& tensor : files.checkpoint.TensorNames()) {
      in_layers += tensor.starts_with(artifact::kLayersPrefix) ? 1 : 0;
    }
    size_t written = 0;
    for (int64_t layer = 0; layer < files.spec.num_layers(); ++layer) {
      const artifact::HostLayer host = files.ReadLayer(layer).value();
      for (const io::NamedTensor& tensor : artifact::LayerTensors(host, layer)) {
        const auto there = files.checkpoint.FindTensor(tensor.name);
        ASSERT_TRUE(there) << tensor.name;
        EXPECT_EQ(there->view.dtype, tensor.tensor.dtype) << tensor.name;
        ASSERT_EQ(there->view.shape, tensor.tensor.shape) << tensor.name;
        const auto bytes = static_cast<size_t>(tensor.tensor.bytes());
        EXPECT_EQ(std::memcmp(there->view.data, tensor.tensor.data, bytes), 0) << tensor.name;
        ++written;
      }
    }
    EXPECT_EQ(written, in_layers);
  }

  std::vector<float> Logits(const std::string& name, const char* backend_name, int64_t chunk) {
    const model::ModelFiles files = model::ModelFiles::Open(folder_ / name).value();
    const auto backend = kernels::MakeBackend(backend_name, {.threads = 2}).value();
    const auto transformer =
        model::LoadTransformer(files, *backend, {.limits = {.rows = 80, .positions = kLength}})
            .value();
    model::KvCache cache = transformer->MakeKvCache(kLength);
    std::vector<float> all;
    constexpr int64_t kTokens = 80;
    for (int64_t first = 0; first < kTokens; first += chunk) {
      std::vector<int32_t> tokens;
      for (int64_t i = first; i < std::min(first + chunk, kTokens); ++i) {
        tokens.push_back(static_cast<int32_t>(3 + i * i % 250));
      }
      const auto rows = static_cast<int32_t>(tokens.size());
      kernels::Batch batch = transformer->OneSequence(std::move(tokens), first);
      for (int32_t row = 0; row < rows; ++row) batch.logit_rows.push_back(row);
      const kernels::DeviceTensor logits = transformer->Forward(batch, cache);
      const size_t old = all.size();
      all.resize(old + static_cast<size_t>(logits.rows * logits.cols));
      backend->Download(logits.data, std::as_writable_bytes(std::span(all).subspan(old)));
    }
    return all;
  }

  void ExpectTheBitsOfTheReference(const std::string& name) {
    EXPECT_TRUE(Logits(name, "cpu", 80) == Logits(name, "reference", 80));
  }
};

TEST_P(FamilyRecipeTest, EveryPresetRunsPackedAsOnTheReference) {
  const double fp = Perplexity(folder_ / "family", false);
  for (const quant::Recipe& recipe : quant::RecipePresets()) {
    if (!quant::HasKernels(recipe)) continue;
    SCOPED_TRACE(recipe.name);
    Quantize(recipe.name, recipe, /*simulated=*/false, 2);
    if (HasFatalFailure()) return;
    ExpectReadAsWritten(recipe.name);
    const double packed = Perplexity(folder_ / recipe.name, false);
    EXPECT_NEAR(packed / Perplexity(folder_ / recipe.name, true), 1.0, 1e-3);
    ExpectTheBitsOfTheReference(recipe.name);
    EXPECT_NEAR(packed / fp, 1.0, recipe.name == "w8a8" ? 0.01 : 0.2);
    EXPECT_EQ(packed == fp, recipe.name == "none");
  }
}

TEST_P(FamilyRecipeTest, PresetsWithoutKernelsRunSimulatedAsOnTheReference) {
  const double fp = Perplexity(folder_ / "family", false);
  for (const char* preset : {"atom-w3a3", "atom-fp4"}) {
    SCOPED_TRACE(preset);
    Quantize(preset, Preset(preset), /*simulated=*/true, 2);
    if (HasFatalFailure()) return;
    ExpectReadAsWritten(preset);
    EXPECT_NEAR(Perplexity(folder_ / preset, false) / fp, 1.0, 0.4);
    ExpectTheBitsOfTheReference(preset);
  }
}

TEST_P(FamilyRecipeTest, ChunksChangeNothing) {
  Quantize("w4a8", Preset("w4a8"), /*simulated=*/false, 2);
  if (HasFatalFailure()) return;
  for (const char* name : {"family", "w4a8"}) {
    const std::vector<float> whole = Logits(name, "cpu", 80);
    EXPECT_EQ(Logits(name, "cpu", 7), whole) << name;
    EXPECT_EQ(Logits(name, "cpu", 33), whole) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyRecipeTest, ::testing::ValuesIn(tests::kFamilies),
                         [](const auto& family) { return family.param; });

}  // namespace
}  // namespace atom::pipeline
