#include "atom/artifact/quantization_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"

#include "tiny_layer.h"

namespace atom::artifact {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string ErrorOf(const json& block, int64_t layers = 2) {
  const auto parsed = ParseQuantizationConfig(block, layers, "config.json");
  return parsed.ok() ? "no error" : parsed.error().message;
}

// The tiny configuration with one value replaced (or, null, removed).
std::string ErrorWith(const char* pointer, const json& value) {
  json block = ToJson(TinyConfig(2));
  const json::json_pointer where(pointer);
  if (value.is_null()) {
    block.at(where.parent_pointer()).erase(where.back());
  } else {
    block[where] = value;
  }
  return ErrorOf(block);
}

TEST(QuantizationConfig, ComesBackBitForBit) {
  for (const int bits : {3, 4, 8}) {
    const QuantizationConfig config = TinyConfig(3, TinyRecipe(bits));
    const auto parsed =
        ParseQuantizationConfig(json::parse(ToJson(config).dump()), 3, "config.json");
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(*parsed, config);
  }
}

TEST(QuantizationConfig, AnyClipComesBackBitForBit) {
  Rng rng(5);
  QuantizationConfig config = TinyConfig(500);
  for (LayerClips& layer : config.layers) {
    for (auto& [site, clip] : layer.activation) clip = 0.7f;
    for (auto& [linear, clip] : layer.weight) clip = 1.5f - static_cast<float>(rng.Uniform());
    layer.kv = std::bit_cast<float>(static_cast<uint32_t>(1 + rng.Below(0x3f800000)));
  }
  const auto parsed =
      ParseQuantizationConfig(json::parse(ToJson(config).dump()), 500, "config.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, config);
}

// 94 layers of 128 experts, with ratios as a search leaves them: the largest of the mixtures that
// docs/models.md names. Their config.json is that long, and opened all the same.
TEST(QuantizationConfig, OfManyExpertsComesBackFromAFolder) {
  constexpr int kLayers = 94;
  LayerShape shape;
  for (const LinearRole role : {LinearRole::kQ, LinearRole::kK, LinearRole::kV, LinearRole::kO}) {
    shape.linears.push_back({.name = role});
  }
  for (int32_t e = 0; e < 128; ++e) {
    for (const LinearRole role : {LinearRole::kGate, LinearRole::kUp, LinearRole::kDown}) {
      shape.linears.push_back({.name = {role, e}});
    }
  }
  QuantizationConfig config = TinyConfig(1);
  config.layers.assign(kLayers, LayerClips(shape, 0.7285714f, 0.85f, 0.9f));
  const TempFolder folder;
  const json whole = {{"model_type", "qwen3_moe"}, {"quantization_config", ToJson(config)}};
  const std::string text = io::DumpJson(whole, 2);
  EXPECT_GT(text.size(), size_t{3} << 19);
  EXPECT_LT(text.size(), size_t{3} << 20);
  PutFile(folder / "config.json", text);
  ASSERT_TRUE(io::WriteSafetensors(folder / "model.safetensors", {}, {}).ok());
  const auto checkpoint = io::Checkpoint::Open(folder.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const auto parsed = ParseQuantizationConfig(checkpoint->config().at("quantization_config"),
                                              kLayers, "config.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, config);
  for (const LayerClips& clips : parsed->layers) EXPECT_TRUE(CheckClips(clips, shape, "x").ok());
}

TEST(QuantizationConfig, IsSpelledAsDocumented) {
  QuantizationConfig config = TinyConfig(1);
  config.layers[0].weight[LinearRole::kO] = 0.8f;
  const std::string expected =
      R"({"bits_per_weight":{"linears":4.25,"model":0.3333333333333333},)"
      R"("calibration":{"dataset":"wikitext2","samples":128,"seed":18446744073709551615,)"
      R"("sequence_length":2048,"text_hash":"ffeeddccbbaa99887766554433221100"},)"
      R"("checkpoint_hash":"00112233445566778899aabbccddeeff","format_version":2,)"
      R"("layers":[{"activation_clip":{"down":1.0,"gate_up":0.1,"o":0.85,"qkv":0.9},)"
      R"("kv_clip":0.95,"weight_clip":{"down":1.0,"gate":1.0,"k":1.0,"o":0.8,"q":1.0,"up":1.0,)"
      R"("v":1.0}}],"quant_method":"atom","recipe":)";
  EXPECT_THAT(ToJson(config).dump(), testing::StartsWith(expected));
}

TEST(QuantizationConfig, AMixtureOfTextsComesBack) {
  QuantizationConfig config = TinyConfig(2);
  config.calibration.texts = {{"wikitext2", "ff", 1.0, 85}, {"c4-calib", "ee", 0.5, 43}};
  const auto parsed = ParseQuantizationConfig(ToJson(config), 2, "config.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, config);
  EXPECT_EQ(Spelling(config.calibration), "wikitext2:1,c4-calib:0.5");
  EXPECT_EQ(Spelling(TinyConfig(2).calibration), "wikitext2");

  const auto error_with = [&](const char* pointer, const json& value) {
    json block = ToJson(config);
    block[json::json_pointer(pointer)] = value;
    return ErrorOf(block);
  };
  EXPECT_THAT(error_with("/calibration/texts", 3), HasSubstr("'texts' is the number 3"));
  EXPECT_THAT(error_with("/calibration/texts/0/share", 0), HasSubstr("text 1: field 'share' is"));
  EXPECT_THAT(error_with("/calibration/texts/1/hash", 5), HasSubstr("text 2: field 'hash' is"));
  EXPECT_THAT(error_with("/calibration/texts/1", 5), HasSubstr("text 2"));
  EXPECT_THAT(error_with("/calibration/dataset", "x"), HasSubstr("texts"));
}

TEST(QuantizationConfig, RefusesOtherMethodsAndVersionsFirst) {
  EXPECT_THAT(ErrorOf({{"quant_method", "gptq"}, {"bits", 4}}),
              HasSubstr("config.json: quantization_config: field 'quant_method' is the string "
                        "'gptq', expected 'atom'"));
  EXPECT_THAT(ErrorOf(json::object()), HasSubstr("'quant_method' is missing"));
  EXPECT_THAT(ErrorOf(json::array()), HasSubstr("found an array"));
  EXPECT_THAT(ErrorOf({{"quant_method", "atom"}, {"format_version", 3}, {"new", 1}}),
              HasSubstr("'format_version' is 3, expected 1 to 2: a newer atom wrote it"));
  EXPECT_THAT(ErrorWith("/format_version", 0), HasSubstr("there is no such version"));
  EXPECT_THAT(ErrorWith("/format_version", "1"), HasSubstr("expected an integer"));
}

TEST(QuantizationConfig, NamesTheFeatureThatItDoesNotKnow) {
  const json block = {{"quant_method", "atom"},
                      {"format_version", 2},
                      {"requires", {"rotation"}},
                      {"rotations", {"whatever", "that", "says"}}};
  EXPECT_THAT(ErrorOf(block), HasSubstr("config.json: quantization_config: requires the string "
                                        "'rotation', which this program does not know"));
  EXPECT_THAT(ErrorWith("/requires", "rotation"), HasSubstr("expected an array of features"));
  EXPECT_THAT(ErrorWith("/requires", json{1}), HasSubstr("requires the number 1"));
  EXPECT_THAT(ErrorWith("/shards", 2), HasSubstr("'shards' is 2, expected 1"));
  EXPECT_THAT(ErrorWith("/layers/1/transforms", {{"o", "hadamard"}}),
              HasSubstr("layers[1]: transforms: 'o' has the transform the string 'hadamard'"));
  EXPECT_EQ(ErrorWith("/layers/1/transforms", {{"o", "none"}}), "no error");
}

TEST(QuantizationConfig, RequiresTheFeaturesOfItsRecipe) {
  EXPECT_EQ(ToJson(TinyConfig(2))["requires"], json::array());
  quant::Recipe recipe = TinyRecipe();
  recipe.weight.scales = recipe.activation.scales = quant::ScaleFormat::kTwoLevel;
  recipe.hadamard = true;
  recipe.kv.exact_window = 16;
  const QuantizationConfig config = TinyConfig(2, recipe);
  const json block = ToJson(config);
  EXPECT_EQ(block["requires"], json({"two-level-scales", "block-hadamard", "exact-window"}));
  const auto parsed = ParseQuantizationConfig(block, 2, "config.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, config);
}

TEST(QuantizationConfig, RefusesOtherNumbersOfLayers) {
  const json block = ToJson(TinyConfig(2));
  EXPECT_THAT(ErrorOf(block, 3),
              HasSubstr("quantization_config: layers has 2 layers, expected 3 layers"));
  EXPECT_THAT(ErrorOf(block, int64_t{1} << 60), HasSubstr("has 2 layers"));  // nothing allocated
  EXPECT_THAT(ErrorWith("/layers", "x"), HasSubstr("layers is the string 'x', expected 2 layers"));
}

TEST(QuantizationConfig, RefusesBrokenClips) {
  EXPECT_THAT(ErrorWith("/layers/1/activation_clip", json{1, 1, 1}),
              HasSubstr("layers[1]: activation_clip is an array, expected an object"));
  EXPECT_THAT(
      ErrorWith("/layers/1/activation_clip/qk", 1),
      HasSubstr("activation_clip: 'qk' is not known, expected one of qkv, o, gate_up, down"));
  EXPECT_THAT(ErrorWith("/layers/0/weight_clip/qkv", 1),
              HasSubstr("'qkv' is not known, expected one of q, k, v, o, gate, up, down"));
  for (const json& clip : {json(0), json(-0.5), json(1.75), json(1e-300), json("1")}) {
    EXPECT_THAT(ErrorWith("/layers/1/weight_clip/down", clip),
                HasSubstr("layers[1]: weight_clip: down is "))
        << clip;
    EXPECT_THAT(ErrorWith("/layers/0/kv_clip", clip), HasSubstr("layers[0]: kv_clip is ")) << clip;
  }
  EXPECT_THAT(ErrorWith("/layers/0/activation_clip/o", 1.25), HasSubstr("at most 1"));
}

// GPTQ's search finds ratios above 1: the step is divided by 2^b − 1.
TEST(QuantizationConfig, WeightClipsMayBeAboveOne) {
  EXPECT_EQ(ErrorWith("/layers/0/weight_clip/q", 15.0 / 14.0), "no error");
  EXPECT_EQ(ErrorWith("/layers/0/weight_clip/q", 1.5), "no error");
}

// The tiny configuration as version 1 spelled it.
json Version1(int64_t layers) {
  json block = ToJson(TinyConfig(layers));
  block["format_version"] = 1;
  block.erase("requires");
  block.erase("shards");
  json tables = {{"activation_clip", json::array()},
                 {"kv_clip", json::array()},
                 {"weight_clip", json::array()}};
  for (const json& layer : block["layers"]) {
    const json& site = layer["activation_clip"];
    const json& linear = layer["weight_clip"];
    tables["activation_clip"].push_back({site["qkv"], site["o"], site["gate_up"], site["down"]});
    tables["kv_clip"].push_back(layer["kv_clip"]);
    tables["weight_clip"].push_back({linear["q"], linear["k"], linear["v"], linear["o"],
                                     linear["gate"], linear["up"], linear["down"]});
  }
  block["layers"] = tables;
  return block;
}

TEST(QuantizationConfigVersion1, IsReadAsBefore) {
  const auto parsed = ParseQuantizationConfig(Version1(3), 3, "config.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, TinyConfig(3));
}

TEST(QuantizationConfigVersion1, IsCheckedAsBefore) {
  EXPECT_THAT(ErrorOf(Version1(2), 3), HasSubstr("layers: field 'activation_clip' has 2 layers, "
                                                 "expected 3 layers"));
  const auto error_with = [](const char* pointer, const json& value) {
    json block = Version1(2);
    block[json::json_pointer(pointer)] = value;
    return ErrorOf(block);
  };
  EXPECT_THAT(error_with("/layers/kv_clip", json{0.5}), HasSubstr("'kv_clip' has 1 layers"));
  EXPECT_THAT(error_with("/layers/weight_clip", "x"),
              HasSubstr("'weight_clip' is the string 'x', expected 2 layers"));
  EXPECT_THAT(error_with("/layers/activation_clip/1", json{1, 1, 1}),
              HasSubstr("activation_clip[1] is an array of 3, expected an array of 4 numbers"));
  EXPECT_THAT(error_with("/layers/weight_clip/1/6", 0), HasSubstr("weight_clip[1][6] is "));
  EXPECT_THAT(error_with("/layers/kv_clip/0", "1"), HasSubstr("kv_clip[0] is "));
  EXPECT_THAT(error_with("/requires", json::array()), HasSubstr("unknown field 'requires'"));
  json block = Version1(2);
  block["layers"].erase("kv_clip");
  EXPECT_THAT(ErrorOf(block), HasSubstr("'kv_clip' is missing"));
}

TEST(QuantizationConfig, EveryFieldIsRequiredAndOthersAreRefused) {
  const json block = ToJson(TinyConfig(2));
  for (const auto& [key, value] : block.items()) {
    EXPECT_THAT(ErrorWith(("/" + key).c_str(), nullptr), HasSubstr("'" + key + "' is missing"));
    if (!value.is_object() || key == "recipe") continue;  // a recipe has defaults
    for (const auto& [inner, ignored] : value.items()) {
      EXPECT_THAT(ErrorWith(("/" + key + "/" + inner).c_str(), nullptr),
                  HasSubstr("'" + inner + "' is missing"));
    }
  }
  for (const char* field : {"activation_clip", "kv_clip", "weight_clip"}) {
    EXPECT_THAT(ErrorWith((std::string("/layers/0/") + field).c_str(), nullptr),
                HasSubstr("layers[0]: field '" + std::string(field) + "' is missing"));
  }
  EXPECT_THAT(ErrorWith("/layers/0/clip", 1), HasSubstr("unknown field 'clip'"));
  EXPECT_THAT(ErrorWith("/group_size", 128), HasSubstr("unknown field 'group_size'"));
  EXPECT_THAT(ErrorWith("/calibration/samples", -1), HasSubstr("at least 0"));
}

TEST(QuantizationConfig, RefusesPackedWeightsWithoutKernels) {
  EXPECT_THAT(ErrorWith("/recipe/weight/bits", 3),
              HasSubstr("'simulated' is false, expected true: the recipe 'tiny' has no kernels"));
  EXPECT_THAT(ErrorWith("/recipe/weight/bits", 5), HasSubstr("quantization_config: recipe: "));
}

TEST(ApplyFormats, TakesTheLayersClips) {
  const QuantizationConfig config = TinyConfig(2);
  HostLayer host(TinyShape());
  ApplyFormats(config, 1, TinyShape(), host);
  EXPECT_EQ(host[SiteRole::kQkv].format.bits, 4);
  EXPECT_EQ(host[SiteRole::kQkv].format.clip, 0.9f);
  EXPECT_EQ(host[SiteRole::kO].format.clip, 0.85f);
  EXPECT_EQ(host[SiteRole::kGateUp].format.clip, 0.1f + 0.01f);
  EXPECT_EQ(host[SiteRole::kQkv].format.outlier_columns, 4);
  EXPECT_EQ(host[SiteRole::kO].format.outlier_columns, 8);  // 24 columns, 20 mod 8 more
  EXPECT_EQ(host[SiteRole::kDown].format.outlier_columns, 4);
  EXPECT_FALSE(host[SiteRole::kDown].format.simulated);
  EXPECT_EQ(host.kv.clip, 0.95f);
  EXPECT_EQ(host.kv.storage, quant::KvStorage::kInt4);
  ApplyFormats(TinyConfig(2, TinyRecipe(3)), 0, TinyShape(), host);
  EXPECT_TRUE(host[SiteRole::kDown].format.simulated);
  EXPECT_EQ(host.kv.fake_bits, 3);
  EXPECT_EQ(host.kv.clip, 0.95f);
}

}  // namespace
}  // namespace atom::artifact
