// A GGUF file as a model: its tensors under the names of a checkpoint, dequantized, q and k in the
// order of one, are those that the `gguf` package gives (tests/golden/README.md); and the forward
// pass gives the same bits as that of a folder with those tensors.
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"
#include "atom/model/rope.h"

#include "tests/io/temp_folder.h"

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

void ExpectSame(const std::optional<io::FoundTensor>& found,
                const std::optional<io::FoundTensor>& expected, const std::string& name) {
  ASSERT_EQ(found.has_value(), expected.has_value()) << name;
  if (!found) return;
  const std::vector<float> values = ToFloats(found->view), wanted = ToFloats(expected->view);
  if (values.size() == wanted.size() && name.find("norm") != name.npos) {
    // Gemma's were 1 + w in fp32.
    EXPECT_THAT(values, testing::Pointwise(testing::FloatNear(1.2e-7f), wanted)) << name;
  } else {
    EXPECT_EQ(values, wanted) << name;
  }
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

// Written by the `gguf` package under its own names.
class GgufFamily : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufFamily, IsTheModelOfItsCheckpoint) {
  const ModelFiles files = Open(kGolden / "gguf" / fmt::format("{}.gguf", GetParam()));
  const ModelFiles expected = Open(kGolden / GetParam());
  EXPECT_EQ(files.spec.architecture, expected.spec.architecture);
  EXPECT_EQ(files.spec.max_position_embeddings, expected.spec.max_position_embeddings);
  EXPECT_EQ(files.spec.head.tied, expected.spec.head.tied);
  ASSERT_EQ(files.spec.num_layers(), expected.spec.num_layers());
  for (int64_t layer = 0; layer < files.spec.num_layers(); ++layer) {
    LayerSpec found = files.spec.layer(layer);  // numbers were fp32 in between
    EXPECT_NEAR(found.input_norm.eps, 1e-6, 1e-12);
    EXPECT_EQ(found.attention.window, expected.spec.layer(layer).attention.window);
    EXPECT_EQ(found.attention.qkv_bias, expected.spec.layer(layer).attention.qkv_bias);
    EXPECT_EQ(found.attention.q_norm.has_value(),
              expected.spec.layer(layer).attention.q_norm.has_value());
    EXPECT_EQ(found.ffn, expected.spec.layer(layer).ffn);
  }
  for (const int64_t positions : {16, 400}) {
    EXPECT_THAT(RopeTableValues(files.spec.ropes.at(0), positions),
                testing::Pointwise(testing::FloatNear(2e-4f),
                                   RopeTableValues(expected.spec.ropes.at(0), positions)));
  }
  const CheckpointTensors found = files.tensors(), wanted = expected.tensors();
  for (int64_t layer = 0; layer < files.spec.num_layers(); ++layer) {
    for (const char* name :
         {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight",
          "self_attn.o_proj.weight", "self_attn.q_proj.bias", "self_attn.q_norm.weight",
          "self_attn.k_norm.weight", "mlp.gate_proj.weight", "mlp.up_proj.weight",
          "mlp.down_proj.weight", "input_layernorm.weight", "post_attention_layernorm.weight",
          "attention_output_layernorm.weight", "mlp_output_layernorm.weight"}) {
      const std::string tensor = fmt::format("model.layers.{}.{}", layer, name);
      ExpectSame(found.Find(tensor), wanted.Find(tensor), tensor);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GgufFamily,
                         ::testing::Values("tiny-qwen2", "tiny-qwen2-yarn", "tiny-qwen3",
                                           "tiny-phi3", "tiny-phi3-long", "tiny-gemma2"));

TEST(GgufGemma2, HasItsCapsAndDivisor) {
  const ModelSpec spec = Open(kGolden / "gguf/tiny-gemma2.gguf").spec;
  EXPECT_EQ(spec.layer(0).attention.softcap, 3.0);
  EXPECT_EQ(spec.head.softcap, 1.5);
  EXPECT_EQ(spec.layer(0).attention.score_divisor, std::sqrt(32.0));  // no key says another
}

// The second layer of the fixture alone.
class GgufMixture : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufMixture, HasTheExpertsOfItsCheckpoint) {
  const ModelFiles files = Open(kGolden / "gguf" / fmt::format("{}.gguf", GetParam()));
  const ModelFiles expected = Open(kGolden / GetParam());
  EXPECT_EQ(files.spec.architecture, expected.spec.architecture);
  ASSERT_EQ(files.spec.num_layers(), 1);
  const FfnSpec &ffn = files.spec.layer(0).ffn, &wanted_ffn = expected.spec.layer(1).ffn;
  EXPECT_EQ(ffn.inner, wanted_ffn.inner);
  ASSERT_TRUE(ffn.moe.has_value());
  EXPECT_EQ(ffn.moe->experts, wanted_ffn.moe->experts);
  EXPECT_EQ(ffn.moe->top_k, wanted_ffn.moe->top_k);
  EXPECT_TRUE(ffn.moe->renormalize);
  const CheckpointTensors found = files.tensors(), wanted = expected.tensors();
  std::vector<std::string> names = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                    "self_attn.o_proj", "self_attn.q_norm", "self_attn.k_norm",
                                    "input_layernorm",  "mlp.gate",         "mlp.gate_proj"};
  for (int64_t e = 0; e < ffn.moe->experts; ++e) {
    for (const char* part : {"gate_proj", "up_proj", "down_proj"}) {
      names.push_back(fmt::format("mlp.experts.{}.{}", e, part));
    }
  }
  for (const std::string& name : names) {
    ExpectSame(found.Find(fmt::format("model.layers.0.{}.weight", name)),
               wanted.Find(fmt::format("model.layers.1.{}.weight", name)), name);
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GgufMixture,
                         ::testing::Values("tiny-mixtral", "tiny-qwen3-moe"));

// All logits of one sequence.
std::vector<float> LogitsOf(const std::filesystem::path& model, std::vector<int32_t> tokens) {
  const ModelFiles files = Open(model);
  const auto backend = kernels::MakeBackend("reference", {.threads = 1});
  EXPECT_TRUE(backend.ok());
  const auto loaded = LoadTransformer(files, **backend, {.limits = {.rows = 32, .positions = 32}});
  EXPECT_TRUE(loaded.ok()) << loaded.error().message;
  KvCache cache = (*loaded)->MakeKvCache(32);
  kernels::Batch batch = (*loaded)->OneSequence(std::move(tokens), 0);
  batch.logit_rows = {7};
  const kernels::DeviceTensor logits = (*loaded)->Forward(batch, cache);
  std::vector<float> found(static_cast<size_t>(files.spec.vocab_size));
  (*backend)->Download(logits.data, std::as_writable_bytes(std::span(found)));
  return found;
}

TEST(GgufModel, GivesTheLogitsOfTheSameModelAsSafetensors) {
  const std::filesystem::path path = kGolden / "gguf/tiny.gguf";
  const ModelFiles files = Open(path);
  const Result<io::Json> golden = io::ReadJsonFile(kGolden / "gguf/tiny.json");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  std::vector<std::vector<float>> values;
  int rounded = 0;
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, expected] : golden->at("tensors").items()) {
    const io::FoundTensor found = *files.tensors().Find(name);
    values.push_back(ToFloats(found.view));
    if (found.runs_as) {
      // Blocks that do not run packed become bf16.
      ++rounded;
      EXPECT_EQ(found.runs_as, DType::kBF16) << name;
      for (float& value : values.back()) value = ToFloat(ToBFloat16(value));
    }
    const auto* data = reinterpret_cast<const std::byte*>(values.back().data());
    tensors.push_back({name, {DType::kF32, expected.at("shape").get<Shape>(), data}});
  }
  EXPECT_EQ(rounded, 3);  // Q5_0, Q5_1
  const io::TempFolder folder;
  folder.Write("config.json", files.checkpoint.config_text());
  ASSERT_TRUE(io::WriteSafetensors(folder / "model.safetensors", tensors, {}).ok());
  const std::vector<int32_t> tokens = {5, 17, 90, 3, 3, 41, 60, 2};
  EXPECT_EQ(LogitsOf(path, tokens), LogitsOf(folder.path(), tokens));
}

}  // namespace
}  // namespace atom::model
