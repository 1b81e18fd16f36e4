// The KV fields of a recipe on disk: its JSON, what an artifact then requires, clip ratios of
// single heads and the means of keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/artifact/reader.h"
#include "atom/artifact/recipe_json.h"

#include "tiny_layer.h"

namespace atom::artifact {
namespace {

using nlohmann::json;
using testing::HasSubstr;

LayerShape Shape() {
  LayerShape shape = TinyShape();
  shape.kv_heads = 2;
  shape.head_dim = 4;
  return shape;
}

quant::Recipe Recipe() {
  quant::Recipe recipe = TinyRecipe();
  recipe.kv = {.bits = 4,
               .clip = {1.0f, true},
               .clip_per_head = true,
               .offset = quant::KvOffset::kFloat,
               .hadamard = true,
               .remove_mean = true};
  return recipe;
}

QuantizationConfig Config() {
  QuantizationConfig config = TinyConfig(2, Recipe());
  for (LayerClips& layer : config.layers) {
    layer.kv = 1.0f;
    layer.kv_heads = {0.95f, 0.9f, 0.1f + 0.2f, 1.0f};
  }
  return config;
}

std::string ErrorOf(const json& block) {
  const auto parsed = ParseQuantizationConfig(block, 2, "config.json");
  return parsed.ok() ? "no error" : parsed.error().message;
}

TEST(KvFields, RecipesComeBackAndKeepTheirBytesWithoutThem) {
  const json spelled = ToJson(Recipe());
  EXPECT_EQ(spelled["kv"], json::parse(R"({"bits": 4, "clip": "search-head", "before_rope": false,
      "offset": "float", "hadamard": true, "remove_mean": true})"));
  EXPECT_EQ(*ParseRecipe(json::parse(spelled.dump()), "my.json"), Recipe());
  EXPECT_EQ(ToJson(TinyRecipe())["kv"],
            json::parse(R"({"bits": 4, "clip": 1.0, "before_rope": false})"));
  // "search" after a base that has "search-head" is a ratio a layer again.
  const auto layered =
      ParseRecipe({{"kv", {{"bits", 4}, {"clip", "search"}, {"offset", "integer"}}}}, "my.json");
  EXPECT_FALSE(layered->kv.clip_per_head);
  EXPECT_TRUE(layered->kv.clip.search);
}

TEST(KvFields, RefusesWhatMakesNoSense) {
  const auto error = [](const json& kv) {
    const auto parsed = ParseRecipe({{"kv", kv}}, "my.json");
    return parsed.ok() ? "no error" : parsed.error().message;
  };
  EXPECT_THAT(error({{"clip", "head"}}), HasSubstr("expected a number, 'search' or 'search-head'"));
  EXPECT_THAT(error({{"offset", "half"}}), HasSubstr("expected one of integer, float"));
  EXPECT_THAT(error({{"hadamard", 1}}), HasSubstr("expected true or false"));
  EXPECT_EQ(error({{"bits", 4}, {"before_rope", true}, {"hadamard", true}}),
            "my.json: kv.before_rope is true, expected false with kv.hadamard: rotations of K come "
            "after RoPE");
  EXPECT_EQ(error({{"bits", 4}, {"before_rope", true}, {"remove_mean", true}}),
            "my.json: kv.before_rope is true, expected false with kv.remove_mean: the mean is that "
            "of keys after RoPE");
}

TEST(KvFields, AnArtifactRequiresWhatItUses) {
  EXPECT_EQ(ToJson(Config())["requires"],
            json::parse(R"(["kv-float-offset", "kv-hadamard", "kv-head-clips", "kv-mean"])"));
  EXPECT_EQ(ToJson(TinyConfig(2))["requires"], json::array());
  QuantizationConfig sixteen = Config();  // without effect
  sixteen.recipe.kv.bits = 16;
  EXPECT_EQ(ToJson(sixteen)["requires"], json::array());
  const auto parsed =
      ParseQuantizationConfig(json::parse(ToJson(Config()).dump()), 2, "config.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, Config());
}

TEST(KvFields, HeadClipsAreThereWhereTheRecipeHasThem) {
  json block = ToJson(Config());
  EXPECT_EQ(block["layers"][0]["kv_clip"].dump(), R"({"k":[0.95,0.9],"v":[0.3,1.0]})");
  block["layers"][1]["kv_clip"] = 0.9;
  EXPECT_THAT(ErrorOf(block), HasSubstr("layers[1]: kv_clip is one ratio, expected one a KV head"));
  block = ToJson(TinyConfig(2));
  block["layers"][0]["kv_clip"] = {{"k", {0.9}}, {"v", {0.8}}};
  EXPECT_THAT(ErrorOf(block), HasSubstr("layers[0]: kv_clip has a ratio a KV head, expected one"));

  const auto error_with = [](const json& clip) {
    json changed = ToJson(Config());
    changed["layers"][0]["kv_clip"] = clip;
    return ErrorOf(changed);
  };
  EXPECT_THAT(error_with({{"k", {0.9, 0.9}}, {"v", {0.8}}}),
              HasSubstr("kv_clip has 2 ratios for K and 1 for V, expected one a KV head for both"));
  EXPECT_THAT(error_with({{"k", json::array()}, {"v", json::array()}}),
              HasSubstr("0 ratios for K"));
  EXPECT_THAT(error_with({{"k", {0.9, 1.5}}, {"v", {0.8, 1}}}),
              HasSubstr("k[1] is the number 1.5, expected a clip ratio above 0, at most 1"));
  EXPECT_THAT(error_with({{"k", {0.9, 0.9}}}), HasSubstr("'v' is missing"));
  EXPECT_THAT(error_with({{"k", 1}, {"v", 1}}), HasSubstr("expected an array of clip ratios"));

  LayerShape shape = Shape();
  EXPECT_TRUE(CheckClips(Config().layers[0], shape, "here").ok());
  shape.kv_heads = 3;
  EXPECT_THAT(CheckClips(Config().layers[0], shape, "here").error().message,
              HasSubstr("here: kv_clip has ratios for 2 KV heads, expected 3"));
}

TEST(KvFields, FormatsHaveTheLayersRatiosAndRoomForMeans) {
  HostLayer host(Shape());
  ApplyFormats(Config(), 1, Shape(), host);
  EXPECT_EQ(host.kv.storage, quant::KvStorage::kInt4);
  EXPECT_EQ(host.kv.offset, quant::KvOffset::kFloat);
  EXPECT_TRUE(host.kv.hadamard);
  EXPECT_EQ(host.kv.head_clips, Config().layers[1].kv_heads);
  EXPECT_EQ(host.kv.key_mean.size(), 8u);
}

class KeyMeanTest : public testing::Test {
 protected:
  Result<HostLayer> WriteAndRead(const HostLayer& host, const QuantizationConfig& config) {
    const auto path = folder_ / "layer.safetensors";
    EXPECT_TRUE(io::WriteSafetensors(path, LayerTensors(host, 0), {}).ok());
    Result<io::SafetensorsFile> file = io::SafetensorsFile::Open(path);
    EXPECT_TRUE(file.ok()) << file.error().message;
    files_.push_back(*std::move(file));
    const std::string name = "the model";
    return ReadLayer(io::SafetensorsSource(std::span(&files_.back(), 1), name), 0, Shape(),
                     &config);
  }

  TempFolder folder_;
  std::vector<io::SafetensorsFile> files_;
};

TEST_F(KeyMeanTest, ComesBackBitForBit) {
  HostLayer host = TinyLayers(4).Packed(Shape());
  host.kv.key_mean = TinyLayers(5).Floats(8);
  const QuantizationConfig config = Config();
  const auto read = WriteAndRead(host, config);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->kv.key_mean, host.kv.key_mean);
  EXPECT_EQ(Stored(*read), Stored(host));
}

TEST_F(KeyMeanTest, IsThereWhereTheRecipeSaysSo) {
  HostLayer host = TinyLayers(4).Packed(Shape());
  const QuantizationConfig with = Config();
  EXPECT_THAT(WriteAndRead(host, with).error().message,
              HasSubstr("model.layers.0.self_attn.key_mean"));
  host.kv.key_mean = TinyLayers(5).Floats(8);
  const QuantizationConfig without = TinyConfig(1);
  EXPECT_THAT(WriteAndRead(host, without).error().message,
              HasSubstr("the recipe has 'remove_mean' false"));
  host.kv.key_mean[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(WriteAndRead(host, with).ok());
  host.kv.key_mean.resize(6, 0.0f);
  EXPECT_FALSE(WriteAndRead(host, with).ok());
}

}  // namespace
}  // namespace atom::artifact
