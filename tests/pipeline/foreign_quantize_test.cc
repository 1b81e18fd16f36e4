// Quantizing what another program quantized: the bytes are those of quantizing an unquantized
// folder with the same values, and the artifact says nothing of where they came from.
#include <fstream>

#include "atom/io/safetensors.h"

#include "quantize_fixture.h"

namespace atom::pipeline {
namespace {

const std::filesystem::path kGolden = ATOM_SOURCE_DIR "/tests/golden/foreign";

class ForeignQuantizeTest : public QuantizeModelTest {
 protected:
  void SetUp() override {
    for (int window = 0; window < 4; ++window) {
      TokenWindow& tokens = calibration_.windows.emplace_back();
      for (int i = 0; i < 48; ++i) tokens.push_back((7 * i * i + 13 * window + i) % 64);
    }
    calibration_.record.texts.emplace_back().name = "numbers";
    calibration_.record.samples = 4;
    calibration_.record.sequence_length = 48;
  }

  void OpenFiles(const std::filesystem::path& path) {
    Result<model::ModelFiles> files = model::ModelFiles::Open(path);
    ASSERT_TRUE(files.ok()) << files.error().message;
    files_.emplace(std::move(files).value());
  }

  /// The open model's weights as an unquantized folder.
  void WritePlain(const std::string& name) {
    std::vector<io::FoundTensor> found;
    std::vector<io::NamedTensor> tensors;
    const io::StoredFile file = files_->checkpoint.Files().at(0);
    for (const io::StoredTensor& tensor : file.tensors) {
      if (!tensor.name.ends_with(".weight")) continue;
      found.push_back(files_->checkpoint.FindTensor(tensor.name).value());
      tensors.push_back({tensor.name, found.back().view});
    }
    io::Json config = files_->checkpoint.config();
    config.erase("quantization_config");
    std::filesystem::create_directory(folder_ / name);
    std::ofstream(folder_ / name / "config.json") << config.dump();
    ASSERT_TRUE(io::WriteSafetensors(folder_ / name / "model.safetensors", tensors, {}).ok());
  }
};

std::string Bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_F(ForeignQuantizeTest, GivesTheBytesOfAnUnquantizedFolder) {
  quant::Recipe recipe = Preset("atom-w4a4");
  recipe.name = "narrow";
  recipe.outliers = recipe.weight.group = recipe.activation.group = 8;
  for (const char* name : {"gptq-desc-act", "awq", "compressed-mixed"}) {
    SCOPED_TRACE(name);
    const std::string plain = fmt::format("{}-plain", name);
    OpenFiles(kGolden / name);
    WritePlain(plain);
    Quantize(fmt::format("{}-a", name), recipe, false, 2);
    OpenFiles(folder_ / plain);
    Quantize(fmt::format("{}-b", name), recipe, false, 2);
    if (HasFatalFailure()) return;
    int files = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder_ / fmt::format("{}-a", name))) {
      const std::filesystem::path other =
          folder_ / fmt::format("{}-b", name) / entry.path().filename();
      EXPECT_EQ(Bytes(entry.path()), Bytes(other)) << entry.path();
      ++files;
    }
    EXPECT_GE(files, 4);  // config.json, the index, a layer and what lies outside of layers
  }
}

}  // namespace
}  // namespace atom::pipeline
