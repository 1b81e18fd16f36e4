// Models that other programs quantized, run from their codes: on every backend the logits of a
// folder of dense weights with the same values, bit for bit, and the memory that the plan says.
#include <gtest/gtest.h>

#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"
#include "atom/model/weight_bytes.h"

namespace atom::model {
namespace {

const std::filesystem::path kGolden = ATOM_SOURCE_DIR "/tests/golden";

class CodesModel : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    Result<ModelFiles> files = ModelFiles::Open(kGolden / GetParam());
    ASSERT_TRUE(files.ok()) << files.error().message;
    files_.emplace(*std::move(files));
  }

  std::vector<float> Logits(std::string_view name, const LoadOptions& options) const {
    const auto backend = kernels::MakeBackend(name, {.threads = 2}).value();
    const auto loaded = LoadTransformer(*files_, *backend, options);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    KvCache cache = (*loaded)->MakeKvCache(32);
    std::vector<float> all;
    int64_t start = 0;
    // A prompt, then single tokens: many rows and few.
    for (const std::vector<int32_t>& tokens :
         {std::vector<int32_t>{5, 17, 60, 3, 3, 41, 60, 2}, {7}, {11}}) {
      kernels::Batch batch = (*loaded)->OneSequence(tokens, start);
      start += std::ssize(tokens);
      batch.logit_rows = {static_cast<int32_t>(tokens.size()) - 1};
      const kernels::DeviceTensor logits = (*loaded)->Forward(batch, cache);
      std::vector<float> row(static_cast<size_t>(files_->spec.vocab_size));
      backend->Download(logits.data, std::as_writable_bytes(std::span(row)));
      all.insert(all.end(), row.begin(), row.end());
    }
    return all;
  }

  std::optional<ModelFiles> files_;
  const LoadOptions options_ = {.limits = {.rows = 32, .positions = 32}};
};

TEST_P(CodesModel, CodesHaveTheValuesOfDenseWeights) {
  int64_t coded = 0;
  for (int64_t i = 0; i < files_->spec.num_layers(); ++i) {
    const auto codes = files_->ReadLayer(i, true);
    const auto dense = files_->ReadLayer(i);
    ASSERT_TRUE(codes.ok() && dense.ok());
    for (const artifact::HostLinear& linear : codes->linears) {
      const artifact::HostLinear& other = (*dense)[linear.name];
      EXPECT_FALSE(other.coded());
      EXPECT_EQ(linear.n(), other.n());
      EXPECT_EQ(linear.k(), other.k());
      EXPECT_EQ(linear.ToFloats(), other.ToFloats()) << ToString(linear.name);
      coded += linear.coded() ? 1 : 0;
    }
  }
  EXPECT_GT(coded, 0);
}

// `reference` dequantizes, `cpu` does not.
TEST_P(CodesModel, BackendsGiveTheSameLogits) {
  EXPECT_EQ(Logits("cpu", options_), Logits("reference", options_));
}

TEST_P(CodesModel, OtherTypesOfWeightsAreThoseOfTheValues) {
  LoadOptions rounded = options_;
  rounded.weight_dtype = DType::kBF16;
  EXPECT_EQ(Logits("cpu", rounded), Logits("reference", rounded));
}

TEST(OtherBlocks, BecomeBf16UnlessTheirTypeIsAskedFor) {
  const ModelFiles files = ModelFiles::Open(kGolden / "gguf/tiny.gguf").value();
  const artifact::LinearName v(artifact::LinearRole::kV);  // Q5_0, and Q5_1
  int64_t others = 0;
  for (int64_t i = 0; i < 2; ++i) {
    artifact::HostLayer layer = files.ReadLayer(i, true).value();
    const std::vector<float> exact = layer[v].ToFloats();
    ConvertDtype({.weight_dtype = DType::kF32}, layer);
    EXPECT_EQ(layer[v].ToFloats(), exact);
    ConvertDtype({}, layer);
    const std::vector<float> found = layer[v].ToFloats();
    EXPECT_NE(found, exact);
    for (size_t k = 0; k < exact.size(); ++k) {
      ASSERT_EQ(found[k], ToFloat(ToBFloat16(exact[k])));
    }
  }
  const io::StoredFile file = files.checkpoint.Files().at(0);
  for (const io::StoredTensor& tensor : file.tensors) {
    if (!tensor.runs_as) continue;
    ++others;
    EXPECT_EQ(tensor.type.substr(0, 2), "Q5") << tensor.name;
    EXPECT_EQ(tensor.read_bytes(), 2 * ElementCount(tensor.shape)) << tensor.name;
  }
  EXPECT_EQ(others, 3);
}

TEST_P(CodesModel, TheirBytesAreKnownBeforehand) {
  const auto cpu = kernels::MakeBackend("cpu", {.threads = 1}).value();
  const auto reference = kernels::MakeBackend("reference", {.threads = 1}).value();
  EXPECT_EQ(WeightBytes(*files_, *cpu), WeightBytes(*files_, true));
  EXPECT_EQ(WeightBytes(*files_, *reference), WeightBytes(*files_, false));
  // What is stored as codes takes about their bytes; of others nothing changes.
  int64_t saved = 0;
  const io::StoredFile file = files_->checkpoint.Files().at(0);
  for (const io::StoredTensor& tensor : file.tensors) {
    const bool table = tensor.name.find("embd") != std::string::npos;
    if (!tensor.codes || table) continue;
    EXPECT_EQ(tensor.codes->n, tensor.shape[0]) << tensor.name;
    EXPECT_EQ(tensor.codes->k, tensor.shape[1]) << tensor.name;
    EXPECT_GE(tensor.codes->bytes(), tensor.bytes * 4 / 5) << tensor.name;
    EXPECT_LE(tensor.codes->bytes(), tensor.bytes * 5 / 4) << tensor.name;
    saved += tensor.read_bytes() - tensor.codes->bytes();
  }
  EXPECT_GT(saved, 0);
  EXPECT_EQ(WeightBytes(*files_, false) - WeightBytes(*files_, true), saved);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, CodesModel,
                         ::testing::Values("gguf/tiny.gguf", "gguf/tiny-mixtral-q4_0.gguf",
                                           "foreign/gptq", "foreign/gptq-desc-act",
                                           "foreign/gptq-v2-8bit", "foreign/awq",
                                           "foreign/compressed-bf16", "foreign/compressed-mixed"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::erase_if(name, [](char c) { return std::isalnum(c) == 0; });
                           return name;
                         });

}  // namespace
}  // namespace atom::model
