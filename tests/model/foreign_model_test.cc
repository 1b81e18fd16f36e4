// Folders that GPTQ, AWQ and compressed-tensors write, as models: their weights are those that an
// independent script computes (tests/golden/README.md), and the forward pass gives the same bits as
// that of an unquantized folder with these weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"

#include "tests/io/temp_folder.h"

namespace atom::model {
namespace {

using testing::HasSubstr;

const std::filesystem::path kGolden = ATOM_SOURCE_DIR "/tests/golden/foreign";

ModelFiles Open(const std::filesystem::path& path) {
  Result<ModelFiles> files = ModelFiles::Open(path);
  EXPECT_TRUE(files.ok()) << files.error().message;
  return *std::move(files);
}

// FNV-1a, 64 bits.
std::string HashOf(std::span<const float> values) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : std::as_bytes(values)) {
    hash = (hash ^ std::to_integer<uint64_t>(byte)) * 0x100000001b3;
  }
  return fmt::format("{:016x}", hash);
}

io::Json Golden(const std::filesystem::path& folder) {
  Result<io::Json> golden = io::ReadJsonFile(folder / "golden.json");
  EXPECT_TRUE(golden.ok()) << golden.error().message;
  return golden->at("tensors");
}

class ForeignModel : public ::testing::TestWithParam<const char*> {};

TEST_P(ForeignModel, HasTheWeightsOfAnUnquantizedFolder) {
  const ModelFiles files = Open(kGolden / GetParam());
  const CheckpointTensors tensors = files.tensors();
  const io::Json golden = Golden(kGolden / GetParam());
  for (const auto& [name, expected] : golden.items()) {
    const auto found = tensors.Find(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->view.shape, expected.at("shape").get<Shape>()) << name;
    EXPECT_EQ(DTypeName(found->view.dtype), expected.at("dtype").get<std::string>()) << name;
    EXPECT_EQ(HashOf(ToFloats(found->view)), expected.at("fnv1a").get<std::string>()) << name;
  }
}

TEST_P(ForeignModel, ListsWholeWeights) {
  const ModelFiles files = Open(kGolden / GetParam());
  const io::Json golden = Golden(kGolden / GetParam());
  int64_t weights = 0;
  for (const io::StoredFile& file : files.checkpoint.Files()) {
    for (const io::StoredTensor& tensor : file.tensors) {
      if (!tensor.name.ends_with(".weight")) continue;  // biases
      ++weights;
      ASSERT_TRUE(golden.contains(tensor.name)) << tensor.name;
      EXPECT_EQ(tensor.shape, golden.at(tensor.name).at("shape").get<Shape>()) << tensor.name;
      EXPECT_EQ(tensor.read_bytes(), 2 * ElementCount(tensor.shape)) << tensor.name;
      EXPECT_GE(tensor.read_bytes(), tensor.bytes) << tensor.name;
    }
  }
  EXPECT_EQ(weights, std::ssize(golden));
}

std::vector<float> LogitsOf(const std::filesystem::path& model) {
  const ModelFiles files = Open(model);
  const auto backend = kernels::MakeBackend("reference", {.threads = 1});
  EXPECT_TRUE(backend.ok());
  const auto loaded = LoadTransformer(files, **backend, {.limits = {.rows = 32, .positions = 32}});
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  KvCache cache = (*loaded)->MakeKvCache(32);
  kernels::Batch batch = (*loaded)->OneSequence({5, 17, 60, 3, 3, 41, 60, 2}, 0);
  batch.logit_rows = {7};
  const kernels::DeviceTensor logits = (*loaded)->Forward(batch, cache);
  std::vector<float> found(static_cast<size_t>(files.spec.vocab_size));
  (*backend)->Download(logits.data, std::as_writable_bytes(std::span(found)));
  return found;
}

TEST_P(ForeignModel, GivesTheLogitsOfAnUnquantizedFolder) {
  const ModelFiles files = Open(kGolden / GetParam());
  std::vector<io::FoundTensor> found;
  std::vector<io::NamedTensor> tensors;
  const io::Json golden = Golden(kGolden / GetParam());
  for (const auto& [name, expected] : golden.items()) {
    found.push_back(*files.tensors().Find(name));
    tensors.push_back({name, found.back().view});
  }
  io::Json config = files.checkpoint.config();
  config.erase("quantization_config");
  const io::TempFolder folder;
  folder.Write("config.json", config.dump());
  ASSERT_TRUE(io::WriteSafetensors(folder / "model.safetensors", tensors, {}).ok());
  EXPECT_EQ(LogitsOf(kGolden / GetParam()), LogitsOf(folder.path()));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ForeignModel,
                         ::testing::Values("gptq", "gptq-desc-act", "gptq-v2-8bit", "awq",
                                           "compressed-bf16", "compressed-mixed"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::erase(name, '-');
                           return name;
                         });

// A fixture's folder with one tensor, or one field, changed.
class DamagedModel {
 public:
  explicit DamagedModel(const char* fixture)
      : bytes_(io::Slurp(kGolden / fixture / "model.safetensors")),
        config_(io::Slurp(kGolden / fixture / "config.json")) {}

  void Replace(const std::string& what, const std::string& by) { ReplaceIn(bytes_, what, by); }
  void ReplaceInConfig(const std::string& what, const std::string& by) {
    ReplaceIn(config_, what, by);
  }
  std::string Error() const {
    const io::TempFolder folder;
    folder.Write("config.json", config_);
    folder.Write("model.safetensors", bytes_);
    const Result<ModelFiles> files = ModelFiles::Open(folder.path());
    EXPECT_FALSE(files.ok());
    if (files.ok()) return "";
    io::ExpectOneSentence(files.error().message);
    return files.error().message;
  }

 private:
  static void ReplaceIn(std::string& text, const std::string& what, const std::string& by) {
    const size_t at = text.find(what);
    ASSERT_NE(at, std::string::npos) << what;
    text.replace(at, what.size(), by);
  }

  std::string bytes_;
  std::string config_;
};

// Names have the same length: offsets in the header stay.
TEST(ForeignModelErrors, PartsThatAreMissing) {
  DamagedModel gptq("gptq");
  gptq.Replace("self_attn.q_proj.qzeros", "self_attn.q_proj.qzerOs");
  EXPECT_THAT(gptq.Error(), HasSubstr("'model.layers.0.self_attn.q_proj.qzeros' is missing"));
  DamagedModel compressed("compressed-bf16");
  compressed.Replace("mlp.up_proj.weight_shape", "mlp.up_proj.weight_shapE");
  EXPECT_THAT(compressed.Error(), HasSubstr("up_proj.weight_shape' is missing"));
}

TEST(ForeignModelErrors, ShapesThatContradictTheConfig) {
  DamagedModel bits("gptq");
  bits.ReplaceInConfig("\"bits\": 4", "\"bits\": 8");
  EXPECT_THAT(bits.Error(), HasSubstr("qzeros' is I32 [2, 8], expected I32 [2, 16]"));
  DamagedModel group("awq");
  group.ReplaceInConfig("\"group_size\": 32", "\"group_size\": 64");
  EXPECT_THAT(group.Error(), HasSubstr("expected F16, BF16 or F32 [2, 64]"));
  DamagedModel zeros("compressed-bf16");
  zeros.ReplaceInConfig("\"symmetric\": true", "\"symmetric\": false");
  EXPECT_THAT(zeros.Error(), HasSubstr("no zero points, expected what one of the 1 config_groups"));
}

TEST(ForeignModelErrors, BiasesOfAModelWithoutThemAreZero) {
  std::string bytes = io::Slurp(kGolden / "gptq/model.safetensors");
  const auto file = io::SafetensorsFile::Parse(std::as_bytes(std::span(bytes)), "gptq");
  ASSERT_TRUE(file.ok());
  const TensorView bias = file->View(*file->Find("model.layers.0.mlp.up_proj.bias"));
  bytes.at(static_cast<size_t>(bias.data - file->bytes().data()) + 1) = 0x3c;  // 1 in fp16
  const io::TempFolder folder;
  folder.Write("config.json", io::Slurp(kGolden / "gptq/config.json"));
  folder.Write("model.safetensors", bytes);
  const auto layer = Open(folder.path()).ReadLayer(0);
  ASSERT_FALSE(layer.ok());
  EXPECT_THAT(layer.error().message, HasSubstr("mlp.up_proj.bias' is there, expected none"));
}

TEST(ForeignModelErrors, MethodsThatAreNotReadAreNamedWithThoseThatAre) {
  DamagedModel model("awq");
  model.ReplaceInConfig("\"quant_method\": \"awq\"", "\"quant_method\": \"hqq\"");
  EXPECT_THAT(model.Error(), HasSubstr("quant_method 'hqq' is not known, expected an unquantized "
                                       "checkpoint or one of atom, gptq, awq, compressed-tensors"));
}

}  // namespace
}  // namespace atom::model
