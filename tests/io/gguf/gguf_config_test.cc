// Keys → config.json, and what is refused on the way.
#include "atom/io/gguf/gguf_config.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/io/gguf/gguf_bytes.h"

namespace atom::io {
namespace {

using ::testing::HasSubstr;

// A llama of two heads of 4 without layers' tensors, which the translation does not look for.
GgufBytes Llama() {
  return {.keys = {KeyBytes("general.architecture", "llama"), KeyBytes("llama.block_count", 2u),
                   KeyBytes("llama.context_length", 64u), KeyBytes("llama.embedding_length", 8u),
                   KeyBytes("llama.feed_forward_length", 16u),
                   KeyBytes("llama.attention.head_count", 2u),
                   KeyBytes("llama.attention.layer_norm_rms_epsilon", 1e-5f)},
          .tensors = {TensorBytes("token_embd.weight", {8, 3}, 0, 0)},
          .data = std::string(96, '\0')};
}

Result<Json> Config(const GgufBytes& spelled) {
  const std::string bytes = spelled.Bytes();
  const Result<GgufFile> file = GgufFile::Parse(std::as_bytes(std::span(bytes)), "f.gguf");
  if (!file.ok()) return file.error();
  return GgufConfig(*file);
}

std::string ErrorWith(std::string key) {
  GgufBytes spelled = Llama();
  spelled.keys.push_back(std::move(key));
  const Result<Json> config = Config(spelled);
  return config.ok() ? "" : config.error().message;
}

std::string ErrorWithTensor(const std::string& name, uint32_t type) {
  GgufBytes spelled = Llama();
  spelled.tensors.push_back(TensorBytes(name, {256}, type, 96));
  spelled.data.resize(4096);
  const Result<Json> config = Config(spelled);
  return config.ok() ? "" : config.error().message;
}

TEST(GgufConfig, SaysWhatConfigJsonWould) {
  GgufBytes spelled = Llama();
  spelled.keys.push_back(KeyBytes("llama.rope.freq_base", 500000.0f));
  spelled.keys.push_back(KeyBytes("tokenizer.ggml.eos_token_id", 2u));
  spelled.keys.push_back(KeyBytes("tokenizer.ggml.bos_token_id", 1u));
  const Result<Json> config = Config(spelled);
  ASSERT_TRUE(config.ok()) << config.error().message;
  const Json expected = {{"architectures", Json::array({"LlamaForCausalLM"})},
                         {"model_type", "llama"},
                         {"hidden_act", "silu"},
                         {"hidden_size", 8},
                         {"intermediate_size", 16},
                         {"num_hidden_layers", 2},
                         {"num_attention_heads", 2},
                         {"max_position_embeddings", 64},
                         {"rms_norm_eps", 1e-5},
                         {"rope_theta", 500000.0},
                         {"vocab_size", 3},
                         {"tie_word_embeddings", true},
                         {"attention_bias", false},
                         {"mlp_bias", false},
                         {"bos_token_id", 1},
                         {"eos_token_id", 2}};
  EXPECT_EQ(*config, expected);
}

TEST(GgufConfig, SaysWhatGemma3sConfigJsonWould) {
  GgufBytes spelled = {
      .keys = {KeyBytes("general.architecture", "gemma3"), KeyBytes("gemma3.block_count", 2u),
               KeyBytes("gemma3.context_length", 64u), KeyBytes("gemma3.embedding_length", 8u),
               KeyBytes("gemma3.feed_forward_length", 16u),
               KeyBytes("gemma3.attention.head_count", 2u),
               KeyBytes("gemma3.attention.key_length", 6u),
               KeyBytes("gemma3.attention.sliding_window", 32u),
               KeyBytes("gemma3.rope.scaling.type", "linear"),
               KeyBytes("gemma3.rope.scaling.factor", 8.0f),
               KeyBytes("gemma3.attention.layer_norm_rms_epsilon", 1e-6f)},
      .tensors = {TensorBytes("token_embd.weight", {8, 3}, 0, 0)},
      .data = std::string(96, '\0')};
  const Result<Json> config = Config(spelled);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->at("architectures"), Json::array({"Gemma3ForCausalLM"}));
  EXPECT_EQ(config->at("model_type"), "gemma3_text");
  EXPECT_EQ(config->at("hidden_activation"), "gelu_pytorch_tanh");
  EXPECT_FALSE(config->contains("hidden_act"));
  EXPECT_EQ(config->at("sliding_window"), 32);
  EXPECT_EQ(config->at("query_pre_attn_scalar"), 6);
  EXPECT_EQ(config->at("rope_scaling"), Json({{"rope_type", "linear"}, {"factor", 8.0}}));
  spelled.keys[1] = KeyBytes("gemma3.block_count", 62u);
  EXPECT_EQ(Config(spelled)->at("query_pre_attn_scalar"), 4);  // hidden / heads
  spelled.keys.push_back(KeyBytes("gemma3.expert_count", 4u));
  EXPECT_THAT(Config(spelled).error().message,
              HasSubstr("is 4, expected 0: no mixtures of experts are known"));
  spelled.keys.pop_back();
  spelled.keys[7] = KeyBytes("gemma3.attention.value_length", 6u);
  EXPECT_EQ(Config(spelled).error().message,
            "f.gguf: key 'gemma3.attention.sliding_window' is missing");
}

TEST(GgufConfig, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Config({}).error().message, HasSubstr("key 'general.architecture' is missing"));
  EXPECT_EQ(Config({.keys = {KeyBytes("general.architecture", "mamba")}}).error().message,
            "f.gguf: architecture 'mamba' is not known, expected one of llama, "
            "phi3, qwen2, qwen3, qwen3moe, gemma2, gemma3");
  EXPECT_EQ(ErrorWith(KeyBytes("llama.attention.clamp_kqv", 8.0f)),
            "f.gguf: key 'llama.attention.clamp_kqv' is the number 8, which is not known and may "
            "mean another model");
  EXPECT_EQ(ErrorWith(KeyBytes("llama.expert_count", 8u)),
            "f.gguf: key 'llama.expert_used_count' is missing");
  EXPECT_THAT(ErrorWith(KeyBytes("llama.rope.dimension_count", 2u)),
              HasSubstr("is 2, expected 4: only whole heads are rotated"));
  EXPECT_THAT(ErrorWith(KeyBytes("llama.attention.value_length", 8u)),
              HasSubstr("is 8, expected 4"));
  EXPECT_THAT(ErrorWith(KeyBytes("llama.vocab_size", "many")),
              HasSubstr("is the string 'many', expected an integer"));
  EXPECT_EQ(
      ErrorWithTensor("blk.0.attn_q.weight", 16),
      "f.gguf: tensor 'blk.0.attn_q.weight' is IQ2_XXS, expected one of " + ReadableBlockTypes());
  EXPECT_THAT(ErrorWithTensor("blk.0.ffn_gate_exps.weight", 0),
              HasSubstr("is none of architecture 'llama'"));
  EXPECT_THAT(ErrorWithTensor("blk.x.attn_q.weight", 0), HasSubstr("is none of architecture"));
}

TEST(GgufConfig, ReadsRopeScalingOfKeys) {
  GgufBytes spelled = Llama();
  spelled.keys.push_back(KeyBytes("llama.rope.scaling.type", "linear"));
  spelled.keys.push_back(KeyBytes("llama.rope.scaling.factor", 4.0f));
  const Result<Json> config = Config(spelled);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->at("rope_scaling"), Json({{"rope_type", "linear"}, {"factor", 4.0}}));
}

// The divisors of Llama 3.1 8B: factor 8, 64 pairs, theta 500,000, as its converter computes them.
TEST(GgufConfig, RecognizesTheDivisorsOfLlama31AndRefusesOthers) {
  const auto with_divisors = [](float spoiled) {
    GgufBytes spelled = Llama();
    spelled.keys.push_back(KeyBytes("llama.rope.freq_base", 500000.0f));
    std::string data(96, '\0');
    for (int i = 0; i < 64; ++i) {
      const double wavelength = 2 * M_PI * std::pow(500000.0, 2.0 * i / 128);
      double divisor = 8.0;
      if (wavelength < 8192 / 4.0) {
        divisor = 1.0;
      } else if (wavelength <= 8192 / 1.0) {
        const double smooth = (8192 / wavelength - 1.0) / (4.0 - 1.0);
        divisor = 1.0 / ((1 - smooth) / 8.0 + smooth);
      }
      data += NumberBytes(static_cast<float>(i == 40 ? divisor * spoiled : divisor));
    }
    spelled.data = data;
    spelled.tensors.push_back(TensorBytes("rope_freqs.weight", {64}, 0, 96));
    return Config(spelled);
  };
  const Result<Json> config = with_divisors(1.0f);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->at("rope_scaling"), Json({{"rope_type", "llama3"},
                                              {"factor", 8.0},
                                              {"low_freq_factor", 1.0},
                                              {"high_freq_factor", 4.0},
                                              {"original_max_position_embeddings", 8192}}));
  EXPECT_THAT(with_divisors(1.01f).error().message, HasSubstr("the rule of Llama 3.1"));
}

}  // namespace
}  // namespace atom::io
