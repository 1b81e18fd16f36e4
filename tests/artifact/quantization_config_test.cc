#include "atom/artifact/quantization_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

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
    layer.activation.fill(0.7f);
    for (float& clip : layer.weight) clip = 1.0f - static_cast<float>(rng.Uniform()) / 2.0f;
    layer.kv = std::bit_cast<float>(static_cast<uint32_t>(1 + rng.Below(0x3f800000)));
  }
  const auto parsed =
      ParseQuantizationConfig(json::parse(ToJson(config).dump()), 500, "config.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, config);
}

TEST(QuantizationConfig, IsSpelledAsDocumented) {
  QuantizationConfig config = TinyConfig(1);
  config.layers[0].weight[3] = 0.8f;
  const std::string expected =
      R"({"bits_per_weight":{"linears":4.25,"model":0.3333333333333333},)"
      R"("calibration":{"dataset":"wikitext2","samples":128,"seed":18446744073709551615,)"
      R"("sequence_length":2048,"text_hash":"ffeeddccbbaa99887766554433221100"},)"
      R"("checkpoint_hash":"00112233445566778899aabbccddeeff","format_version":1,)"
      R"("layers":{"activation_clip":[[0.9,0.85,0.1,1.0]],"kv_clip":[0.95],)"
      R"("weight_clip":[[1.0,1.0,1.0,0.8,1.0,1.0,1.0]]},"quant_method":"atom","recipe":)";
  EXPECT_THAT(ToJson(config).dump(), testing::StartsWith(expected));
}

TEST(QuantizationConfig, RefusesOtherMethodsAndVersionsFirst) {
  EXPECT_THAT(ErrorOf({{"quant_method", "gptq"}, {"bits", 4}}),
              HasSubstr("config.json: quantization_config: field 'quant_method' is the string "
                        "'gptq', expected 'atom'"));
  EXPECT_THAT(ErrorOf(json::object()), HasSubstr("'quant_method' is missing"));
  EXPECT_THAT(ErrorOf(json::array()), HasSubstr("found an array"));
  EXPECT_THAT(ErrorOf({{"quant_method", "atom"}, {"format_version", 2}, {"new", 1}}),
              HasSubstr("'format_version' is 2, expected 1 to 1: a newer atom wrote it"));
  EXPECT_THAT(ErrorWith("/format_version", 0), HasSubstr("there is no such version"));
  EXPECT_THAT(ErrorWith("/format_version", "1"), HasSubstr("expected an integer"));
}

TEST(QuantizationConfig, RefusesOtherNumbersOfLayers) {
  const json block = ToJson(TinyConfig(2));
  EXPECT_THAT(ErrorOf(block, 3), HasSubstr("quantization_config: layers: field 'activation_clip' "
                                           "has 2 layers, expected 3 layers"));
  EXPECT_THAT(ErrorOf(block, int64_t{1} << 60), HasSubstr("has 2 layers"));  // nothing allocated
  EXPECT_THAT(ErrorWith("/layers/kv_clip", json{0.5}), HasSubstr("'kv_clip' has 1 layers"));
  EXPECT_THAT(ErrorWith("/layers/weight_clip", "x"),
              HasSubstr("'weight_clip' is the string 'x', expected 2 layers"));
}

TEST(QuantizationConfig, RefusesBrokenClips) {
  EXPECT_THAT(ErrorWith("/layers/activation_clip/1", json{1, 1, 1}),
              HasSubstr("activation_clip[1] is an array of 3, expected an array of 4 numbers"));
  for (const json& clip :
       {json(0), json(-0.5), json(1.5), json(1e-300), json("1"), json(nullptr)}) {
    json block = ToJson(TinyConfig(2));
    block["layers"]["weight_clip"][1][6] = clip;
    EXPECT_THAT(ErrorOf(block), HasSubstr("weight_clip[1][6] is ")) << clip;
    block = ToJson(TinyConfig(2));
    block["layers"]["kv_clip"][0] = clip;
    EXPECT_THAT(ErrorOf(block), HasSubstr("kv_clip[0] is ")) << clip;
  }
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
  HostLayer host;
  ApplyFormats(config, 1, TinyShape(), host);
  EXPECT_EQ(host[EdgeId::kQkv].format.bits, 4);
  EXPECT_EQ(host[EdgeId::kQkv].format.clip, 0.9f);
  EXPECT_EQ(host[EdgeId::kO].format.clip, 0.85f);
  EXPECT_EQ(host[EdgeId::kGateUp].format.clip, 0.1f + 0.01f);
  EXPECT_EQ(host[EdgeId::kQkv].format.outlier_columns, 4);
  EXPECT_EQ(host[EdgeId::kO].format.outlier_columns, 8);  // 24 columns, 20 mod 8 more
  EXPECT_EQ(host[EdgeId::kDown].format.outlier_columns, 4);
  EXPECT_FALSE(host[EdgeId::kDown].format.simulated);
  EXPECT_EQ(host.kv.clip, 0.95f);
  EXPECT_EQ(host.kv.storage, quant::KvStorage::kInt4);
  ApplyFormats(TinyConfig(2, TinyRecipe(3)), 0, TinyShape(), host);
  EXPECT_TRUE(host[EdgeId::kDown].format.simulated);
  EXPECT_EQ(host.kv.fake_bits, 3);
  EXPECT_EQ(host.kv.clip, 0.95f);
}

}  // namespace
}  // namespace atom::artifact
