// A GGUF file as a model: its tensors under the names of a checkpoint, dequantized, q and k in the
// order of one, are those that the `gguf` package gives (tests/golden/README.md); and the forward
// pass of it and of the checkpoint that it was made of are close.
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/artifact/tensor_finder.h"
#include "atom/io/json.h"
#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"

namespace atom::model {
namespace {

const std::filesystem::path kGolden = ATOM_SOURCE_DIR "/tests/golden";

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

TEST(GgufModel, HasTheTensorsOfACheckpoint) {
  const ModelFiles files = Open(kGolden / "gguf/tiny.gguf");
  const Result<io::Json> golden = io::ReadJsonFile(kGolden / "gguf/tiny.json");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const CheckpointTensors tensors = files.tensors();
  for (const auto& [name, expected] : golden->at("tensors").items()) {
    const auto found = tensors.Find(name);
    ASSERT_TRUE(found) << name;
    EXPECT_EQ(found->view.shape, expected.at("shape").get<Shape>()) << name;
    EXPECT_EQ(HashOf(ToFloats(found->view)), expected.at("fnv1a").get<std::string>()) << name;
  }
}

TEST(GgufModel, SaysWhatTheConfigOfItsCheckpointSays) {
  const ModelSpec spec = Open(kGolden / "gguf/tiny.gguf").spec;
  const ModelSpec expected = Open(kGolden / "tiny-gqa").spec;
  EXPECT_EQ(spec.architecture, expected.architecture);
  EXPECT_EQ(spec.hidden_size, expected.hidden_size);
  EXPECT_EQ(spec.vocab_size, expected.vocab_size);
  EXPECT_EQ(spec.max_position_embeddings, expected.max_position_embeddings);
  EXPECT_EQ(spec.layers, expected.layers);
  EXPECT_EQ(spec.ropes, expected.ropes);
  EXPECT_EQ(spec.head.tied, expected.head.tied);
  EXPECT_EQ(spec.head.norm, expected.head.norm);
  EXPECT_EQ(spec.bos_token_id, expected.bos_token_id);
  EXPECT_EQ(spec.eos_token_ids, expected.eos_token_ids);
}

// The golden logits of tiny-gqa; codes of 4 bits among the weights move them by some hundredths.
TEST(GgufModel, ComputesTheModelThatItIs) {
  const ModelFiles files = Open(kGolden / "gguf/tiny.gguf");
  const auto backend = kernels::MakeBackend("reference", {.threads = 1});
  ASSERT_TRUE(backend.ok());
  const auto loaded = LoadTransformer(files, **backend, {.limits = {.rows = 32, .positions = 32}});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  Transformer& transformer = **loaded;
  const Result<io::Json> golden = io::ReadJsonFile(kGolden / "tiny-gqa/golden.json");
  ASSERT_TRUE(golden.ok());
  const auto tokens = golden->at("tokens").get<std::vector<int32_t>>();
  KvCache cache = transformer.MakeKvCache(32);
  kernels::Batch batch = transformer.OneSequence(tokens, 0);
  const auto last = static_cast<int32_t>(tokens.size()) - 1;
  batch.logit_rows = {last};
  const kernels::DeviceTensor logits = transformer.Forward(batch, cache);
  std::vector<float> found(static_cast<size_t>(files.spec.vocab_size));
  (*backend)->Download(logits.data, std::as_writable_bytes(std::span(found)));
  const auto expected = golden->at("logits").back().get<std::vector<float>>();
  double difference = 0.0;
  double power = 0.0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(found[i] - expected[i], 2);
    power += std::pow(expected[i], 2);
  }
  EXPECT_LT(std::sqrt(difference / power), 0.15);
}

}  // namespace
}  // namespace atom::model
