#include "atom/io/foreign/foreign_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/io/temp_folder.h"

namespace atom::io {
namespace {

using testing::HasSubstr;

std::optional<ForeignFormat> Read(const Json& block) {
  auto format = ReadForeignFormat({{"quantization_config", block}}, "config.json");
  EXPECT_TRUE(format.ok()) << format.error().message;
  return format.ok() ? *std::move(format) : std::nullopt;
}

std::string ErrorOf(const Json& block) {
  const auto format = ReadForeignFormat({{"quantization_config", block}}, "config.json");
  EXPECT_FALSE(format.ok());
  if (format.ok()) return "";
  ExpectOneSentence(format.error().message);
  return format.error().message;
}

Json With(Json block, std::string_view key, const Json& value) {
  block[key] = value;
  return block;
}

const Json kGptq = {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}};
const Json kAwq = {{"quant_method", "awq"}, {"bits", 4}, {"group_size", 64}, {"version", "gemm"}};

Json Compressed(const std::string& key = {}, const Json& value = {}) {
  Json weights = {{"num_bits", 4},
                  {"type", "int"},
                  {"symmetric", true},
                  {"strategy", "group"},
                  {"group_size", 128}};
  if (!key.empty()) weights[key] = value;
  return {
      {"quant_method", "compressed-tensors"},
      {"format", "pack-quantized"},
      {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", std::move(weights)}}}}}};
}

TEST(ForeignFormat, NoneWhereNobodyElseQuantized) {
  EXPECT_FALSE(ReadForeignFormat(Json::object(), "config.json")->has_value());
  EXPECT_FALSE(Read(nullptr));
  EXPECT_FALSE(Read(Json::object({{"quant_method", "atom"}})));
  EXPECT_FALSE(
      Read(Json::object({{"quant_method", "aqlm"}})));  // refused by name with the model's config
  EXPECT_EQ(ForeignMethodNames(), "gptq, awq, compressed-tensors");
}

TEST(ForeignFormat, Gptq) {
  const auto format = Read(kGptq);
  ASSERT_TRUE(format);
  EXPECT_EQ(format->method, ForeignMethod::kGptq);
  EXPECT_TRUE(format->zeros_minus_one);
  EXPECT_EQ(format->schemes.at(0).bits, 4);
  EXPECT_EQ(format->schemes.at(0).group, 128);
  EXPECT_EQ(Read(With(kGptq, "group_size", -1))->schemes.at(0).group, 0);
  EXPECT_FALSE(Read(With(kGptq, "checkpoint_format", "gptq_v2"))->zeros_minus_one);
  EXPECT_FALSE(Read(With(kGptq, "format", "gptq_v2"))->zeros_minus_one);
}

TEST(ForeignFormat, RefusesOtherKindsOfGptqByName) {
  EXPECT_THAT(ErrorOf(With(kGptq, "bits", 3)), HasSubstr("gptq: field 'bits' is the number 3, "
                                                         "expected 4 or 8"));
  EXPECT_THAT(ErrorOf(Json::object({{"quant_method", "gptq"}})), HasSubstr("'bits' is missing"));
  EXPECT_THAT(ErrorOf(With(kGptq, "group_size", 0)), HasSubstr("expected -1 or a number of"));
  EXPECT_THAT(ErrorOf(With(kGptq, "checkpoint_format", "marlin")),
              HasSubstr("'marlin', expected 'gptq' or 'gptq_v2'"));
  EXPECT_THAT(ErrorOf(With(kGptq, "pack_dtype", "int16")), HasSubstr("expected 'int32'"));
  EXPECT_THAT(ErrorOf(With(kGptq, "rotation", "hadamard")), HasSubstr("expected nothing"));
}

TEST(ForeignFormat, Awq) {
  EXPECT_EQ(Read(kAwq)->schemes.at(0).group, 64);
  EXPECT_EQ(Read(With(kAwq, "version", "GEMM"))->method, ForeignMethod::kAwq);
  EXPECT_THAT(ErrorOf(With(kAwq, "version", "gemv")), HasSubstr("'gemv', expected 'gemm'"));
  EXPECT_THAT(ErrorOf(With(kAwq, "bits", 8)), HasSubstr("the number 8, expected 4"));
}

TEST(ForeignFormat, CompressedTensors) {
  const auto format = Read(Compressed());
  ASSERT_EQ(format->schemes.size(), 1u);
  EXPECT_TRUE(format->schemes[0].symmetric);
  EXPECT_EQ(format->schemes[0].group, 128);
  EXPECT_EQ(Read(Compressed("strategy", "channel"))->schemes.at(0).group, 0);
  EXPECT_TRUE(Read(With(Compressed(), "sparsity_config", {{"format", "dense"}})));
}

TEST(ForeignFormat, RefusesOtherKindsOfCompressedTensorsByName) {
  EXPECT_THAT(ErrorOf(With(Compressed(), "format", "nvfp4-pack-quantized")),
              HasSubstr("'nvfp4-pack-quantized', expected 'pack-quantized'"));
  EXPECT_THAT(ErrorOf(With(Compressed(), "kv_cache_scheme", {{"num_bits", 8}})),
              HasSubstr("'kv_cache_scheme'"));
  EXPECT_THAT(ErrorOf(With(Compressed(), "config_groups", Json::object())),
              HasSubstr("config_groups: expected a group, found none"));
  EXPECT_THAT(ErrorOf(With(Compressed(), "config_groups", nullptr)),
              HasSubstr("'config_groups' is missing"));
  Json weightless = Compressed();
  weightless["config_groups"]["group_0"].erase("weights");
  EXPECT_THAT(ErrorOf(weightless), HasSubstr("group_0: field 'weights' is missing"));
  EXPECT_THAT(ErrorOf(Compressed("num_bits", 3)),
              HasSubstr("config_groups: group_0: weights: field 'num_bits'"));
  EXPECT_THAT(ErrorOf(Compressed("type", "float")), HasSubstr("'float', expected 'int'"));
  EXPECT_THAT(ErrorOf(Compressed("strategy", "block")), HasSubstr("expected 'group' or 'channel'"));
  Json activations = Compressed();
  activations["config_groups"]["group_0"]["input_activations"] = {{"num_bits", 8}};
  EXPECT_THAT(ErrorOf(activations), HasSubstr("'input_activations'"));
}

}  // namespace
}  // namespace atom::io
