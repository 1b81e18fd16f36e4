#include "atom/artifact/recipe_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tiny_layer.h"

namespace atom::artifact {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string ErrorOf(const json& recipe) {
  const Result<quant::Recipe> parsed = ParseRecipe(recipe, "my.json");
  return parsed.ok() ? "no error" : parsed.error().message;
}

TEST(RecipeJson, EveryPresetComesBack) {
  for (const quant::Recipe& preset : quant::RecipePresets()) {
    const Result<quant::Recipe> parsed =
        ParseRecipe(json::parse(ToJson(preset).dump()), preset.name);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(*parsed, preset) << preset.name;
  }
}

TEST(RecipeJson, LaterFieldsComeBackAndAreWrittenOnlyWhereTheySaySomething) {
  quant::Recipe recipe;
  const std::string before = ToJson(recipe).dump();
  for (const char* field : {"scales", "deal", "hadamard", "expert_order"}) {
    EXPECT_EQ(before.find(field), std::string::npos) << field;
  }
  recipe.weight = {.bits = 4, .group = 32, .scales = quant::ScaleFormat::kTwoLevel};
  recipe.activation = {.bits = 4, .group = 32, .scales = quant::ScaleFormat::kTwoLevel};
  recipe.reorder = true;
  recipe.deal = quant::Deal::kZigzag;
  recipe.hadamard = true;
  recipe.expert_order = quant::ExpertOrder::kOwn;
  const json written = ToJson(recipe);
  EXPECT_EQ(written["weight"]["scales"], "two-level");
  EXPECT_EQ(written["activation"]["scales"], "two-level");
  EXPECT_EQ(written["deal"], "zigzag");
  EXPECT_EQ(written["hadamard"], true);
  EXPECT_EQ(written["expert_order"], "own");
  const Result<quant::Recipe> parsed = ParseRecipe(written, "r");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, recipe);
  EXPECT_THAT(ErrorOf({{"weight", {{"scales", "fp8"}}}}), HasSubstr("scales"));
  EXPECT_THAT(ErrorOf({{"deal", "random"}}), HasSubstr("sorted, zigzag"));
  EXPECT_THAT(ErrorOf({{"expert_order", "each"}}), HasSubstr("shared, own"));
}

TEST(RecipeJson, EveryFieldComesBack) {
  quant::Recipe recipe;
  recipe.name = "mine";
  recipe.weight = {.bits = 3,
                   .number = quant::NumberFormat::kInt,
                   .group = 64,
                   .channel_group = 4,
                   .symmetric = false,
                   .clip = {1.0f, true},
                   .gptq = true,
                   .damping = 0.1 + 0.2};
  recipe.activation = {.bits = 4,
                       .number = quant::NumberFormat::kE2M1,
                       .group = 32,
                       .symmetric = false,
                       .clip = {0.7f}};
  recipe.kv = {.bits = 2, .clip = {1.0f / 3.0f}, .before_rope = true};
  recipe.reorder = true;
  recipe.metric = quant::Metric::kAbsMean;
  recipe.outliers = 17;
  recipe.outlier_format = quant::OutlierFormat::kE4M3;
  recipe.seed = 0xfedcba9876543210u;
  recipe.reference_parity = true;
  const Result<quant::Recipe> parsed = ParseRecipe(json::parse(ToJson(recipe).dump()), "mine");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, recipe);
}

TEST(RecipeJson, IsSpelledAsDocumented) {
  const json expected = json::parse(R"({
    "name": "atom-w4a4",
    "weight": {"bits": 4, "format": "int", "group": 128, "channel_group": 2, "symmetric": true,
               "clip": 0.85, "method": "gptq", "damping": 0.01},
    "activation": {"bits": 4, "format": "int", "group": 128, "symmetric": true, "clip": 0.9},
    "kv": {"bits": 4, "clip": 1.0, "before_rope": false},
    "outliers": {"count": 128, "format": "int8"},
    "reorder": "hessian", "seed": 0, "reference_parity": false})");
  EXPECT_EQ(ToJson(*quant::FindRecipe("atom-w4a4")).dump(), expected.dump());
}

TEST(RecipeJson, AnExactWindowIsWrittenWhereThereIsOne) {
  quant::Recipe recipe = *quant::FindRecipe("atom-w4a4");
  EXPECT_FALSE(ToJson(recipe)["kv"].contains("exact_window"));
  recipe.kv.exact_window = 16;
  EXPECT_EQ(ToJson(recipe)["kv"]["exact_window"], 16);
  EXPECT_EQ(ParseRecipe(ToJson(recipe), "my.json").value(), recipe);
  EXPECT_EQ(ErrorOf({{"kv", {{"bits", 4}, {"exact_window", 8}}}}),
            "my.json: kv.exact_window is 8, expected 0 or a multiple of 16 up to 1048576");
}

TEST(RecipeJson, FieldsLeftOutAreThoseOfTheBase) {
  const Result<quant::Recipe> parsed = ParseRecipe(
      json::parse(
          R"({"base": "atom-w4a4", "kv": {"bits": 8}, "weight": {"clip": "search"}, "reorder": null})"),
      "my.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  quant::Recipe expected = *quant::FindRecipe("atom-w4a4");
  expected.kv.bits = 8;
  expected.weight.clip = {1.0f, true};
  EXPECT_EQ(*parsed, expected);
  EXPECT_EQ(*ParseRecipe(json::object(), "my.json"), *quant::FindRecipe("none"));
}

TEST(RecipeJson, ReorderIsFalseOrAMetric) {
  const auto parse = [](const json& value) {
    return ParseRecipe({{"base", "atom-w4a4"}, {"reorder", value}}, "my.json");
  };
  EXPECT_FALSE(parse(false)->reorder);
  EXPECT_TRUE(parse("abs_mean")->reorder);
  EXPECT_EQ(parse("abs_mean")->metric, quant::Metric::kAbsMean);
  EXPECT_THAT(
      parse(true).error().message,
      HasSubstr("my.json: field 'reorder' is true, expected false, 'hessian' or 'abs_mean'"));
  EXPECT_THAT(parse("max").error().message, HasSubstr("expected one of hessian, abs_mean"));
}

TEST(RecipeJson, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(ErrorOf(json::array()), HasSubstr("my.json: found an array, expected an object"));
  EXPECT_EQ(ErrorOf({{"bit", 4}}),
            "my.json: unknown field 'bit', expected one of name, base, weight, activation, kv, "
            "outliers, reorder, deal, hadamard, expert_order, seed, reference_parity");
  EXPECT_EQ(ErrorOf({{"weight", {{"bist", 4}}}}),
            "my.json: weight: unknown field 'bist', expected one of bits, format, group, "
            "channel_group, symmetric, scales, clip, method, damping, sequential, token_cap, "
            "correction");
  EXPECT_THAT(ErrorOf({{"base", "nope"}}),
              HasSubstr("my.json: field 'base' is the string 'nope', expected one of atom-w4a4, "));
  EXPECT_THAT(ErrorOf({{"base", 3}}), HasSubstr("'base' is the number 3, expected a string"));
  EXPECT_THAT(ErrorOf({{"name", ""}}), HasSubstr("'name' is the string '', expected at most"));
  EXPECT_THAT(ErrorOf({{"name", "a\x1b[2J"}}), HasSubstr("without control characters"));
  EXPECT_THAT(ErrorOf({{"name", std::string(81, 'x')}}), HasSubstr("at most 80 bytes"));
  EXPECT_THAT(ErrorOf({{"kv", 4}}), HasSubstr("field 'kv' is the number 4, expected an object"));
}

TEST(RecipeJson, WhatOnlyGptqCanDoComesBackAndIsRefusedWithoutIt) {
  quant::Recipe recipe = quant::FindRecipe("atom-w4a4").value();
  recipe.weight.clip = {.ratio = 1.0f, .search = true};
  recipe.weight.clip_per_group = true;
  recipe.weight.sequential = true;
  recipe.weight.token_cap = 30.0;
  recipe.weight.correction = 0.5;
  const json spelled = ToJson(recipe);
  EXPECT_EQ(spelled["weight"]["clip"], "search-group");
  EXPECT_EQ(spelled["weight"]["token_cap"], 30.0);
  const auto parsed = ParseRecipe(spelled, "my.json");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(*parsed, recipe);
  // A number takes the place of the base's search.
  EXPECT_FALSE(ToJson(quant::FindRecipe("atom-w4a4").value())["weight"].contains("sequential"));

  const auto error = [](const json& weight) {
    return ErrorOf({{"base", "rtn-w4a4"}, {"weight", weight}});
  };
  EXPECT_EQ(error({{"sequential", true}}),
            "my.json: weight.sequential is true, but weight.method is \"rtn\", expected \"gptq\"");
  EXPECT_THAT(error({{"token_cap", 30}}),
              HasSubstr("weight.token_cap is not 0, but weight.method"));
  EXPECT_THAT(error({{"clip", "search-group"}}),
              HasSubstr("weight.clip is \"search-group\", but weight.method is \"rtn\""));
  EXPECT_EQ(error({{"method", "gptq"}, {"correction", 0.5}}),
            "my.json: weight.correction is 0.5, expected 0 where weight.sequential is false");
  EXPECT_EQ(error({{"correction", 1.5}}),
            "my.json: weight.correction is 1.5, expected a share from 0 to 1");
  EXPECT_EQ(error({{"token_cap", 0.5}}),
            "my.json: weight.token_cap is 0.5, expected 0, or 1 to 1e9");
  EXPECT_THAT(error({{"token_cap", -30}}), HasSubstr("expected 0, or 1 to 1e9"));
}

TEST(RecipeJson, RefusesValuesOutOfRange) {
  const auto weight = [](const char* key, const json& value) {
    return ErrorOf({{"weight", {{key, value}}}});
  };
  EXPECT_THAT(weight("bits", 5), HasSubstr("my.json: "));
  EXPECT_THAT(weight("bits", 4294967300), HasSubstr("expected an integer from"));
  EXPECT_THAT(weight("bits", 4.0), HasSubstr("expected an integer"));
  EXPECT_THAT(weight("bits", "4"), HasSubstr("is the string '4', expected an integer"));
  EXPECT_THAT(weight("group", -2), HasSubstr("my.json: "));
  EXPECT_THAT(weight("clip", 1e300), HasSubstr("expected a number that fits 32 bits"));
  EXPECT_THAT(weight("clip", 0.0), HasSubstr("my.json: "));
  EXPECT_THAT(weight("clip", "find"), HasSubstr("expected a number, 'search' or 'search-group'"));
  EXPECT_THAT(weight("clip", true), HasSubstr("expected a number, 'search' or 'search-group'"));
  EXPECT_THAT(weight("format", "int4"),
              HasSubstr("is the string 'int4', expected one of int, fp4, e2m1, exponent"));
  EXPECT_THAT(weight("method", "awq"), HasSubstr("expected one of rtn, gptq"));
  EXPECT_THAT(weight("damping", -1), HasSubstr("my.json: "));
  EXPECT_THAT(weight("symmetric", 1), HasSubstr("expected true or false"));
  EXPECT_THAT(ErrorOf({{"seed", -1}}), HasSubstr("expected an integer from 0 to 2^64 - 1"));
  EXPECT_THAT(ErrorOf({{"outliers", {{"count", -1}}}}), HasSubstr("my.json: "));
}

TEST(LoadRecipe, TakesAPresetOrAFile) {
  const TempFolder folder;
  const std::string file = (folder / "mine.json").string();
  PutFile(file, R"({"name": "mine", "base": "w8a8", "seed": 7})");
  const Result<quant::Recipe> loaded = LoadRecipe(file);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  quant::Recipe expected = *quant::FindRecipe("w8a8");
  expected.name = "mine";
  expected.seed = 7;
  EXPECT_EQ(*loaded, expected);
  EXPECT_EQ(*LoadRecipe("w8a8"), *quant::FindRecipe("w8a8"));

  EXPECT_THAT(LoadRecipe("w8a9").error().message, HasSubstr("no file of that name either"));
  EXPECT_THAT(LoadRecipe("w8a9").error().message, HasSubstr("atom-w4a4"));
  EXPECT_THAT(LoadRecipe((folder / "absent.json").string()).error().message,
              HasSubstr("absent.json: cannot be read"));
  PutFile(file, "{");
  EXPECT_THAT(LoadRecipe(file).error().message, HasSubstr("mine.json: not valid JSON"));
}

}  // namespace
}  // namespace atom::artifact
