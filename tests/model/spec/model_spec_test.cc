#include "atom/model/spec/model_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "atom/model/spec/llama.h"
#include "atom/model/weights.h"

namespace atom::model {
namespace {

TEST(TensorNames, OfLlamaAreTheNamesThatAreAskedFor) {
  const TensorNames names;
  for (const char* name :
       {"model.embed_tokens.weight", "model.layers.31.self_attn.q_proj.codes4", "lm_head.weight",
        "model.layers.0.input_layernorm.weight", "model.layers.7.permutation.qkv"}) {
    EXPECT_EQ(names.Place(name).name, name);
    EXPECT_TRUE(names.Place(name).as_it_is());
  }
  EXPECT_EQ(names.LayerPrefix(3), "model.layers.3.");
}

TEST(TensorNames, OfOthersSayWhereAndWhichPart) {
  const TensorNames names{
      .layer_prefix = "transformer.h.",
      .modules = {{"self_attn.k_proj",
                   {.name = "attn.c_attn", .transposed = true, .first_row = 64, .rows = 32}},
                  {"model.norm", {.name = "transformer.ln_f"}}}};
  EXPECT_EQ(names.LayerPrefix(3), "transformer.h.3.");
  const io::TensorPlace weight = names.Place("model.layers.12.self_attn.k_proj.weight");
  EXPECT_EQ(weight.name, "transformer.h.12.attn.c_attn.weight");
  EXPECT_TRUE(weight.transposed);
  EXPECT_EQ(weight.first_row, 64);
  EXPECT_EQ(weight.rows, 32);
  const io::TensorPlace bias = names.Place("model.layers.12.self_attn.k_proj.bias");
  EXPECT_EQ(bias.name, "transformer.h.12.attn.c_attn.bias");
  EXPECT_FALSE(bias.transposed);
  EXPECT_EQ(bias.rows, 32);
  EXPECT_EQ(names.Place("model.layers.1.mlp.up_proj.weight").name,
            "transformer.h.1.mlp.up_proj.weight");
  EXPECT_EQ(names.Place("model.norm.bias").name, "transformer.ln_f.bias");
}

ModelSpec Small() {
  return LlamaSpec({.hidden_size = 8,
                    .intermediate_size = 12,
                    .num_layers = 2,
                    .num_heads = 4,
                    .num_kv_heads = 2,
                    .head_dim = 4,
                    .vocab_size = 30});
}

std::string LinearsOf(const ModelSpec& spec, int64_t layer) {
  std::string text;
  for (const artifact::LinearShape& linear : ShapeOfLayer(spec, layer).linears) {
    text += fmt::format("{} {}x{}{} ", ToString(linear.name), linear.n, linear.k,
                        linear.bias ? "+b" : "");
  }
  return text;
}

TEST(ShapeOfLayer, FollowsTheSpec) {
  ModelSpec spec = Small();
  EXPECT_EQ(LinearsOf(spec, 0), "q 16x8 k 8x8 v 8x8 o 8x16 gate 12x8 up 12x8 down 8x12 ");
  EXPECT_EQ(LinearWeightCount(spec), 2 * (128 + 64 + 64 + 128 + 3 * 96));
  spec.layers[1].ffn.gated = false;
  spec.layers[1].ffn.bias = true;
  spec.layers[1].ffn.inner = 20;
  spec.layers[1].attention.qkv_bias = true;
  EXPECT_EQ(LinearsOf(spec, 1), "q 16x8+b k 8x8+b v 8x8+b o 8x16 up 20x8+b down 8x20+b ");
  EXPECT_EQ(ShapeOfLayer(spec, 0).norms.size(), 2u);
  spec.layers[0].attention.k_norm = NormSpec{};
  spec.layers[0].post_ffn_norm = NormSpec{.weight_offset = 1.0};
  const artifact::LayerShape shape = ShapeOfLayer(spec, 0);
  ASSERT_EQ(shape.norms.size(), 4u);
  EXPECT_EQ(shape.norms[2].role, artifact::NormRole::kPostFfn);
  EXPECT_EQ(shape.norms[2].weight_offset, 1.0f);
  EXPECT_EQ(shape.norms[3].role, artifact::NormRole::kK);
  EXPECT_EQ(shape.norms[3].width, 4);
}

TEST(OuterTensors, FollowTheSpec) {
  const auto names = [](const ModelSpec& spec) {
    std::string text;
    for (const artifact::OuterTensor& outer : OuterTensors(spec)) {
      text += outer.name + ShapeString(outer.shape) + " ";
    }
    return text;
  };
  ModelSpec spec = Small();
  EXPECT_EQ(names(spec),
            "model.embed_tokens.weight[30, 8] model.norm.weight[8] lm_head.weight[30, 8] ");
  spec.head.tied = true;
  spec.head.norm.bias = true;
  spec.embedding.learned_positions = true;
  spec.embedding.position_rows = 66;
  EXPECT_EQ(names(spec),
            "model.embed_tokens.weight[30, 8] model.embed_positions.weight[66, 8] "
            "model.norm.weight[8] model.norm.bias[8] ");
}

TEST(CheckComputable, RefusesSharedExperts) {
  ModelSpec spec = Small();
  EXPECT_TRUE(CheckComputable(spec, "config.json").ok());
  spec.layers[1].ffn.moe = MoeSpec{.experts = 8, .top_k = 2};
  EXPECT_TRUE(CheckComputable(spec, "config.json").ok());
  spec.layers[1].ffn.moe->shared_expert = true;
  EXPECT_THAT(CheckComputable(spec, "config.json").error().message,
              testing::HasSubstr("config.json: layer 1 has an expert that all tokens share"));
}

}  // namespace
}  // namespace atom::model
