#include "atom/model/spec/gemma.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/model/spec/families.h"

namespace atom::model {
namespace {

using io::Json;
using ::testing::HasSubstr;

// As gemma-3-4b has them, text only.
Json Gemma3() {
  return {{"architectures", {"Gemma3ForCausalLM"}},
          {"model_type", "gemma3_text"},
          {"hidden_size", 2560},
          {"intermediate_size", 10240},
          {"num_hidden_layers", 34},
          {"num_attention_heads", 8},
          {"num_key_value_heads", 4},
          {"head_dim", 256},
          {"vocab_size", 262208},
          {"max_position_embeddings", 131072},
          {"sliding_window", 1024},
          {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}}};
}

// As gemma-2-27b has them.
Json Gemma2() {
  return {{"architectures", {"Gemma2ForCausalLM"}},
          {"model_type", "gemma2"},
          {"hidden_size", 4608},
          {"intermediate_size", 36864},
          {"num_hidden_layers", 46},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 16},
          {"head_dim", 128},
          {"query_pre_attn_scalar", 144},
          {"vocab_size", 256000},
          {"torch_dtype", "float32"}};
}

ModelSpec Parse(const Json& json) {
  Result<ModelSpec> spec = ReadModelSpec(json, "config.json");
  EXPECT_TRUE(spec.ok()) << spec.error().message;
  return *std::move(spec);
}

std::string ErrorWith(Json json, const std::string& key, const Json& value) {
  json[key] = value;
  const Result<ModelSpec> spec = ReadModelSpec(json, "config.json");
  return spec.ok() ? "" : spec.error().message;
}

TEST(GemmaTest, Gemma3HasTwoKindsOfLayers) {
  const ModelSpec spec = Parse(Gemma3());
  ASSERT_EQ(spec.num_layers(), 34);
  for (int64_t i = 0; i < 34; ++i) {
    const AttentionSpec& attention = spec.layer(i).attention;
    const bool full = i % 6 == 5;
    EXPECT_EQ(attention.window, full ? 0 : 1024) << i;
    EXPECT_EQ(attention.rope, full ? 0 : 1) << i;
    EXPECT_EQ(attention.score_divisor, 16.0);
    EXPECT_EQ(attention.softcap, 0.0);
  }
  ASSERT_EQ(spec.ropes.size(), 2u);
  EXPECT_EQ(spec.ropes[0], (RopeSpec{1e6, {RopeScaling::Kind::kLinear, 8.0}, 256}));
  EXPECT_EQ(spec.ropes[1], (RopeSpec{1e4, {}, 256}));
  EXPECT_EQ(spec.embedding.scale, 50.5);  // sqrt(2560) = 50.596… in bf16
  EXPECT_TRUE(spec.head.tied);
  EXPECT_EQ(spec.head.softcap, 0.0);
  const NormSpec norm{.eps = 1e-6, .weight_offset = 1.0};
  EXPECT_EQ(spec.head.norm, norm);
  const LayerSpec& layer = spec.layer(0);
  EXPECT_EQ(layer.attention.q_norm, norm);
  EXPECT_EQ(layer.attention.k_norm, norm);
  EXPECT_EQ(layer.post_attention_norm, norm);
  EXPECT_EQ(layer.post_ffn_norm, norm);
  EXPECT_EQ(layer.ffn, (FfnSpec{true, kernels::ActivationFunction::kGeluTanh, 10240}));
}

TEST(GemmaTest, Gemma3sNewSpelling) {
  Json json = Gemma3();
  json.erase("rope_scaling");
  json["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 5e5}}},
      {"sliding_attention", {{"rope_type", "default"}}}};
  json["layer_types"] = Json::array();
  for (int i = 0; i < 34; ++i) {
    json["layer_types"].push_back(i % 2 == 0 ? "full_attention" : "sliding_attention");
  }
  const ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.ropes[0], (RopeSpec{5e5, {RopeScaling::Kind::kLinear, 4.0}, 256}));
  EXPECT_EQ(spec.ropes[1], (RopeSpec{1e4, {}, 256}));
  EXPECT_EQ(spec.layer(0).attention.window, 0);
  EXPECT_EQ(spec.layer(1).attention.window, 1024);
  EXPECT_THAT(ErrorWith(json, "layer_types", Json::array({"full_attention"})),
              HasSubstr("layer_types' is an array, expected a list of 34"));
  json["layer_types"][3] = "chunked_attention";
  EXPECT_THAT(ErrorWith(json, "x", 1), HasSubstr("layer_types holds the string"));
}

TEST(GemmaTest, Gemma2CapsScoresAndLogits) {
  const ModelSpec spec = Parse(Gemma2());
  for (int64_t i = 0; i < 46; ++i) {
    EXPECT_EQ(spec.layer(i).attention.window, i % 2 == 0 ? 4096 : 0);
    EXPECT_EQ(spec.layer(i).attention.softcap, 50.0);
    EXPECT_EQ(spec.layer(i).attention.score_divisor, 12.0);
    EXPECT_EQ(spec.layer(i).attention.rope, 0u);
    EXPECT_FALSE(spec.layer(i).attention.q_norm);
  }
  EXPECT_EQ(spec.ropes.size(), 1u);
  EXPECT_EQ(spec.head.softcap, 30.0);
  EXPECT_EQ(spec.embedding.scale, double{std::sqrt(4608.0f)});
  Json json = Gemma2();
  json["final_logit_softcapping"] = nullptr;
  EXPECT_EQ(Parse(json).head.softcap, 0.0);
}

TEST(GemmaTest, RefusesWhatIsNotComputed) {
  EXPECT_THAT(ErrorWith(Gemma3(), "use_bidirectional_attention", true),
              HasSubstr("use_bidirectional_attention is true, expected false"));
  EXPECT_THAT(ErrorWith(Gemma3(), "attn_logit_softcapping", 50.0),
              HasSubstr("attn_logit_softcapping is 50, expected null"));
  EXPECT_THAT(ErrorWith(Gemma2(), "hidden_activation", "gelu"),
              HasSubstr("hidden_activation 'gelu' is not known"));
  EXPECT_THAT(ErrorWith(Gemma2(), "torch_dtype", "int8"), HasSubstr("dtype 'int8' is not known"));
  EXPECT_THAT(ErrorWith(Gemma2(), "head_dim", 7), HasSubstr("head_dim is 7"));
}

}  // namespace
}  // namespace atom::model
