#include "atom/model/spec/opt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/model/spec/families.h"

namespace atom::model {
namespace {

using io::Json;
using ::testing::HasSubstr;

// As opt-125m has them.
Json Opt() {
  return {{"architectures", {"OPTForCausalLM"}},
          {"model_type", "opt"},
          {"hidden_size", 768},
          {"ffn_dim", 3072},
          {"num_hidden_layers", 12},
          {"num_attention_heads", 12},
          {"vocab_size", 50272},
          {"word_embed_proj_dim", 768},
          {"do_layer_norm_before", true},
          {"max_position_embeddings", 2048}};
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

TEST(OptTest, Opt125m) {
  const ModelSpec spec = Parse(Opt());
  ASSERT_EQ(spec.num_layers(), 12);
  const NormSpec norm{.kind = kernels::NormKind::kLayer, .eps = 1e-5, .bias = true};
  const LayerSpec expected{
      .input_norm = norm,
      .ffn_norm = norm,
      .attention = {.heads = 12, .kv_heads = 12, .head_dim = 64, .qkv_bias = true, .o_bias = true},
      .ffn = {.gated = false,
              .activation = kernels::ActivationFunction::kRelu,
              .inner = 3072,
              .bias = true}};
  for (const LayerSpec& layer : spec.layers) EXPECT_EQ(layer, expected);
  EXPECT_TRUE(spec.ropes.empty());
  EXPECT_TRUE(spec.embedding.learned_positions);
  EXPECT_EQ(spec.embedding.position_rows, 2050);
  EXPECT_EQ(spec.embedding.position_offset, 2);
  EXPECT_EQ(spec.embedding.projected_from, 0);
  EXPECT_TRUE(spec.head.tied);
  EXPECT_TRUE(spec.head.normalizes);
  EXPECT_EQ(spec.names.Place("model.layers.3.mlp.up_proj.bias").name,
            "model.decoder.layers.3.fc1.bias");
  EXPECT_EQ(spec.names.Place("model.embed_positions.weight").name,
            "model.decoder.embed_positions.weight");
  EXPECT_EQ(spec.names.Place("model.norm.bias").name, "model.decoder.final_layer_norm.bias");
}

TEST(OptTest, Opt350mHasItsNormsBehindAndNarrowTables) {
  Json json = Opt();
  json["do_layer_norm_before"] = false;
  json["word_embed_proj_dim"] = 512;
  const ModelSpec spec = Parse(json);
  EXPECT_TRUE(spec.layer(0).norms_behind_sums);
  EXPECT_FALSE(spec.head.normalizes);
  EXPECT_EQ(spec.embedding.projected_from, 512);
}

TEST(OptTest, OtherFields) {
  Json json = Opt();
  json["_remove_final_layer_norm"] = true;
  EXPECT_FALSE(Parse(json).head.normalizes);
  json["enable_bias"] = false;
  EXPECT_FALSE(Parse(json).layer(0).ffn.bias);
  json["activation_function"] = "gelu";
  EXPECT_EQ(Parse(json).layer(0).ffn.activation, kernels::ActivationFunction::kGelu);
  EXPECT_THAT(ErrorWith(Opt(), "activation_function", "tanh"),
              HasSubstr("activation_function 'tanh' is not known, expected one of relu, gelu"));
  EXPECT_THAT(ErrorWith(Opt(), "layer_norm_elementwise_affine", false),
              HasSubstr("layer_norm_elementwise_affine is false, expected true"));
  EXPECT_THAT(ErrorWith(Opt(), "num_attention_heads", 7),
              HasSubstr("hidden_size 768 is not an even multiple of num_attention_heads 7"));
}

}  // namespace
}  // namespace atom::model
