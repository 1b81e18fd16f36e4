#include "atom/quant/recipe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <set>

#include "atom/quant/feature.h"
#include "atom/quant/quantize_weight.h"

namespace atom::quant {
namespace {

using ::testing::HasSubstr;

Recipe Find(std::string_view name) {
  const auto recipe = FindRecipe(name);
  EXPECT_TRUE(recipe.ok()) << recipe.error().message;
  return *recipe;
}

TEST(RecipeTest, PresetsAreValidAndFoundByName) {
  std::set<std::string> names;
  for (const Recipe& preset : RecipePresets()) {
    EXPECT_TRUE(ValidateRecipe(preset).ok()) << preset.name;
    EXPECT_TRUE(names.insert(preset.name).second) << preset.name << " occurs twice";
    EXPECT_EQ(Find(preset.name), preset);
  }
  for (const char* name :
       {"atom-w4a4", "atom-best", "atom-w4a8", "w4a8", "w4a16", "w4a8-plain", "w8a8", "w4a16-plain",
        "rtn-w4a4", "none", "atom-w3a3", "atom-fp4", "atom-e2m1"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_EQ(Find("none"), Recipe{});
  const auto unknown = FindRecipe("w5a5");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, HasSubstr("\"w5a5\""));
  EXPECT_THAT(unknown.error().message, HasSubstr("atom-w4a4, atom-best"));
}

TEST(RecipeTest, KernelsExistForThePresetsThatSaySo) {
  for (const char* name : {"atom-w4a4", "atom-best", "atom-w4a8", "w4a8", "w4a16", "w4a8-plain",
                           "w8a8", "w4a16-plain", "rtn-w4a4", "none"}) {
    EXPECT_TRUE(HasKernels(Find(name))) << name;
  }
  for (const char* name : {"atom-w3a3", "atom-fp4", "atom-e2m1", "published-w4a4"}) {
    EXPECT_FALSE(HasKernels(Find(name))) << name;
  }
}

TEST(RecipeTest, EachPartNeedsItsKernel) {
  const auto without = [](auto change) {
    Recipe recipe = Find("atom-w4a4");
    change(recipe);
    return !HasKernels(recipe);
  };
  EXPECT_TRUE(without([](Recipe& r) { r.weight.bits = 16; }));
  EXPECT_TRUE(without([](Recipe& r) { r.weight.symmetric = false; }));
  EXPECT_TRUE(without([](Recipe& r) { r.weight.group = 64; }));
  EXPECT_TRUE(without([](Recipe& r) { r.activation.symmetric = false; }));
  EXPECT_TRUE(without([](Recipe& r) { r.activation.bits = 2; }));
  EXPECT_TRUE(without([](Recipe& r) { r.outlier_format = OutlierFormat::kFp16; }));
  EXPECT_TRUE(without([](Recipe& r) { r.kv.bits = 3; }));
  EXPECT_TRUE(without([](Recipe& r) { r.kv.before_rope = true; }));
  EXPECT_TRUE(without([](Recipe& r) { r.reference_parity = true; }));
  EXPECT_FALSE(without([](Recipe& r) { r.kv.bits = 16; }));
  EXPECT_FALSE(without([](Recipe& r) { r.weight.gptq = false; }));
  EXPECT_FALSE(without([](Recipe& r) { r.weight.group = r.activation.group = 64; }));
}

/// The linears' part of the best recipe.
Recipe TwoLevel() {
  Recipe recipe = Find("atom-w4a4");
  recipe.weight.group = recipe.activation.group = 32;
  recipe.weight.scales = recipe.activation.scales = ScaleFormat::kTwoLevel;
  recipe.deal = Deal::kZigzag;
  recipe.hadamard = true;
  return recipe;
}

TEST(RecipeTest, TwoLevelScalesHaveKernelsWhereSumsRunOverAllGroups) {
  const auto has = [](auto change) {
    Recipe recipe = TwoLevel();
    change(recipe);
    EXPECT_TRUE(ValidateRecipe(recipe).ok());
    return HasKernels(recipe);
  };
  EXPECT_TRUE(has([](Recipe&) {}));
  EXPECT_TRUE(has([](Recipe& r) { r.activation = {.bits = 8}; }));
  EXPECT_TRUE(has([](Recipe& r) { r.activation = {}; }));
  EXPECT_TRUE(has([](Recipe& r) { r.activation = {.bits = 4}; }));
  EXPECT_FALSE(has([](Recipe& r) { r.weight.scales = ScaleFormat::kFp16; }));
  EXPECT_FALSE(has([](Recipe& r) { r.activation.scales = ScaleFormat::kFp16; }));
  EXPECT_FALSE(has([](Recipe& r) { r.activation.symmetric = false; }));
  EXPECT_FALSE(has([](Recipe& r) { r.weight.bits = 3; }));
}

TEST(RecipeTest, FeaturesAreWhatTheRecipeUses) {
  EXPECT_TRUE(FeaturesOf(Find("atom-w4a4")).empty());
  EXPECT_EQ(FeaturesOf(TwoLevel()),
            (std::vector{Feature::kTwoLevelScales, Feature::kBlockHadamard}));
  for (const Feature feature : FeaturesOf(TwoLevel())) {
    EXPECT_EQ(FeatureFromName(Name(feature)), feature);
  }
  EXPECT_FALSE(FeatureFromName("rotation").has_value());
}

TEST(RecipeTest, GroupsThatArePowersOfTwoAreRotated) {
  Recipe recipe = TwoLevel();
  EXPECT_EQ(ActivationFormatFor(recipe, 1152, false),
            (ActivationFormat{.bits = 4,
                              .group = 32,
                              .scales = ScaleFormat::kTwoLevel,
                              .clip = 0.9f,
                              .outlier_columns = 128,
                              .hadamard = 32}));
  recipe.activation = {.bits = 8};  // the weight's groups
  EXPECT_EQ(ActivationFormatFor(recipe, 1152, false),
            (ActivationFormat{.bits = 8, .outlier_columns = 128, .hadamard = 32}));
  recipe.activation = {};
  EXPECT_EQ(ActivationFormatFor(recipe, 1152, false),
            (ActivationFormat{.outlier_columns = 128, .hadamard = 32}));
  recipe.weight.group = 48;
  EXPECT_EQ(ActivationFormatFor(recipe, 1152, false), ActivationFormat{});
  recipe.weight = {.bits = 4};  // one group of 1,024 columns, then one of 1,000
  EXPECT_EQ(ActivationFormatFor(recipe, 1152, false).hadamard, 1024);
  EXPECT_EQ(ActivationFormatFor(recipe, 1128, false).hadamard, 0);
  EXPECT_EQ(ActivationFormatFor(recipe, 128, false).hadamard, 0);
}

TEST(RecipeTest, ThePublishedConfiguration) {
  const Recipe recipe = Find("atom-w4a4");
  const WeightFormat weight = WeightFormatFor(recipe);
  EXPECT_EQ(weight.bits, 4);
  EXPECT_EQ(weight.group, 128);
  EXPECT_EQ(weight.channel_group, 2);
  EXPECT_TRUE(weight.symmetric);
  EXPECT_EQ(weight.clip, 0.85f);
  EXPECT_EQ(weight.outliers, 128);
  EXPECT_EQ(weight.outlier_format, OutlierFormat::kInt8);
  EXPECT_TRUE(weight.gptq);
  EXPECT_TRUE(recipe.reorder);

  const ActivationFormat activation = ActivationFormatFor(recipe, 1152, false);
  EXPECT_EQ(activation,
            (ActivationFormat{.bits = 4, .group = 128, .clip = 0.9f, .outlier_columns = 128}));
  EXPECT_EQ(ActivationFormatFor(recipe, 1100, false).outlier_columns, 128 + 76);
  EXPECT_EQ(ActivationFormatFor(recipe, 64, false).outlier_columns, 64);
  EXPECT_TRUE(ActivationFormatFor(recipe, 1152, true).simulated);
  EXPECT_EQ(KvFormatFor(recipe, false), (KvFormat{.storage = KvStorage::kInt4}));
  EXPECT_EQ(KvFormatFor(recipe, true), (KvFormat{.storage = KvStorage::kF32, .fake_bits = 4}));
}

TEST(RecipeTest, ActivationsSplitWhereThePackedWeightsDo) {
  const Recipe w4a8 = Find("w4a8-plain");
  for (const int64_t k : {512, 1152, 1000}) {
    EXPECT_EQ(ActivationFormatFor(w4a8, k, false).outlier_columns,
              WeightFormatFor(w4a8).OutlierColumns(k));
  }
  EXPECT_EQ(ActivationFormatFor(w4a8, 512, false), (ActivationFormat{.bits = 8}));
  EXPECT_EQ(ActivationFormatFor(Find("w8a8"), 1000, false), (ActivationFormat{.bits = 8}));
  EXPECT_TRUE(ActivationFormatFor(Find("w4a16-plain"), 512, false).dense());
}

TEST(RecipeTest, WithoutKernelsEverythingIsSimulated) {
  const Recipe recipe = Find("published-w4a4");
  EXPECT_TRUE(ActivationFormatFor(recipe, 512, false).simulated);
  EXPECT_EQ(KvFormatFor(recipe, false), (KvFormat{.storage = KvStorage::kF32,
                                                  .fake_bits = 4,
                                                  .fake_before_rope = true,
                                                  .reference_parity = true}));
}

TEST(RecipeTest, KvStorage) {
  EXPECT_EQ(KvFormatFor(Find("none"), false), KvFormat{});
  EXPECT_EQ(KvFormatFor(Find("w8a8"), false).storage, KvStorage::kInt8);
  EXPECT_EQ(KvFormatFor(Find("w4a16-plain"), false).storage, KvStorage::kF16);
  EXPECT_EQ(KvFormatFor(Find("w4a16-plain"), true).storage, KvStorage::kF32);
}

TEST(RecipeTest, ErrorsNameTheFieldAndWhatWasFound) {
  const auto error = [](auto change) {
    Recipe recipe = Find("atom-w4a4");
    change(recipe);
    const Status status = ValidateRecipe(recipe);
    return status.ok() ? std::string("valid") : status.error().message;
  };
  EXPECT_EQ(error([](Recipe& r) { r.weight.bits = 5; }),
            "weight.bits is 5, expected 2, 3, 4, 8 or 16");
  EXPECT_THAT(error([](Recipe& r) { r.activation.bits = 0; }), HasSubstr("activation.bits is 0"));
  EXPECT_THAT(error([](Recipe& r) { r.kv.bits = 6; }), HasSubstr("kv.bits is 6"));
  EXPECT_THAT(error([](Recipe& r) { r.weight.group = -128; }), HasSubstr("weight.group is -128"));
  EXPECT_THAT(error([](Recipe& r) { r.activation.group = 3; }), HasSubstr("activation.group is 3"));
  EXPECT_THAT(error([](Recipe& r) { r.weight.channel_group = 0; }),
              HasSubstr("weight.channel_group is 0"));
  EXPECT_THAT(error([](Recipe& r) { r.weight.clip.ratio = 0.0f; }), HasSubstr("weight.clip is 0"));
  EXPECT_THAT(error([](Recipe& r) { r.kv.clip.ratio = 1.5f; }), HasSubstr("kv.clip is 1.5"));
  EXPECT_THAT(
      error([](Recipe& r) { r.activation.clip.ratio = std::numeric_limits<float>::quiet_NaN(); }),
      HasSubstr("activation.clip is nan"));
  EXPECT_THAT(error([](Recipe& r) { r.weight.damping = -1; }), HasSubstr("weight.damping is -1"));
  EXPECT_THAT(error([](Recipe& r) { r.outliers = -1; }), HasSubstr("outliers.count is -1"));
  EXPECT_THAT(error([](Recipe& r) {
                r.weight.number = NumberFormat::kE2M1;
                r.weight.bits = 3;
              }),
              HasSubstr("\"e2m1\", which has 4 bits, but the bits are 3"));
  EXPECT_THAT(error([](Recipe& r) { r.weight.number = NumberFormat::kExponent; }),
              HasSubstr("weight.method is \"gptq\""));
  EXPECT_THAT(error([](Recipe& r) { r.activation.number = NumberFormat::kExponent; }),
              HasSubstr("activation.format is \"exponent\""));
  EXPECT_EQ(error([](Recipe& r) { r.kv.exact_window = 24; }),
            "kv.exact_window is 24, expected 0 or a multiple of 16 up to 1048576");
  EXPECT_THAT(error([](Recipe& r) { r.kv.exact_window = -16; }),
              HasSubstr("kv.exact_window is -16, expected"));
  EXPECT_THAT(error([](Recipe& r) {
                r.kv.exact_window = 16;
                r.kv.bits = 16;
              }),
              HasSubstr("kv.exact_window is 16, expected 0: with kv.bits 16 nothing is quantized"));
  EXPECT_THAT(error([](Recipe& r) {
                r.kv.exact_window = 16;
                r.kv.before_rope = true;
              }),
              HasSubstr("kv.exact_window is 16, expected 0 with kv.before_rope"));
  EXPECT_EQ(error([](Recipe& r) { r.kv.exact_window = 48; }), "valid");
}

TEST(RecipeTest, TheExactWindowIsPartOfTheKvFormat) {
  Recipe recipe = Find("atom-w4a4");
  recipe.kv.exact_window = 32;
  EXPECT_TRUE(HasKernels(recipe));
  EXPECT_EQ(KvFormatFor(recipe, false),
            (KvFormat{.storage = KvStorage::kInt4, .exact_window = 32}));
  EXPECT_EQ(KvFormatFor(recipe, true),
            (KvFormat{.storage = KvStorage::kF32, .fake_bits = 4, .exact_window = 32}));
  const KvFormat format = KvFormatFor(recipe, false);
  EXPECT_EQ(format.FirstExact(15), 0);
  EXPECT_EQ(format.FirstExact(47), 0);
  EXPECT_EQ(format.FirstExact(48), 16);
  EXPECT_EQ(format.FirstExact(63), 16);
  EXPECT_GT(KvFormat{}.FirstExact(1 << 30), 1 << 30);
}

TEST(RecipeTest, KvFieldsAreWithoutEffectAtSixteenBits) {
  KvRecipe kv{.clip = {1.0f, true}, .clip_per_head = true, .hadamard = true, .remove_mean = true};
  EXPECT_FALSE(kv.rotates() || kv.removes_mean() || kv.has_head_clips());
  EXPECT_EQ(KvBitsPerValue(kv, 64), 16.0);
  kv.bits = 4;
  EXPECT_TRUE(kv.rotates() && kv.removes_mean() && kv.has_head_clips());
  kv.clip.search = false;
  EXPECT_FALSE(kv.has_head_clips());
}

TEST(RecipeTest, KvFieldsHaveKernelsAndTheirBits) {
  Recipe recipe = Find("atom-w4a4");
  EXPECT_EQ(KvBitsPerValue(recipe.kv, 64), 4.0 + 20.0 / 64.0);
  recipe.kv.offset = KvOffset::kFloat;
  recipe.kv.hadamard = true;
  EXPECT_EQ(KvBitsPerValue(recipe.kv, 64), 4.5);
  EXPECT_EQ(KvBitsPerValue(recipe.kv, 128), 4.25);
  EXPECT_TRUE(HasKernels(recipe));
  const KvFormat format = KvFormatFor(recipe, false);
  EXPECT_EQ(format.storage, KvStorage::kInt4);
  EXPECT_EQ(format.offset, KvOffset::kFloat);
  EXPECT_TRUE(format.hadamard);
  EXPECT_EQ(KvFormatFor(recipe, true), format.Simulated());
}

TEST(RecipeTest, RotationNeedsAMatrixOfTheHeadsSize) {
  KvRecipe kv{.bits = 4, .hadamard = true};
  for (const int64_t head_dim : {64, 80, 96, 128, 256})
    EXPECT_TRUE(CheckHeadDim(kv, head_dim).ok());
  EXPECT_EQ(
      CheckHeadDim(kv, 112).error().message,
      "kv.hadamard is true, expected heads of 2^n, 12 * 2^n or 20 * 2^n channels, found heads "
      "of 112");
  kv.hadamard = false;
  EXPECT_TRUE(CheckHeadDim(kv, 112).ok());
}

TEST(RecipeTest, ErrorsAboutTwoLevelScalesAndColumns) {
  const auto error = [](auto change) {
    Recipe recipe = TwoLevel();
    change(recipe);
    const Status status = ValidateRecipe(recipe);
    return status.ok() ? "no error" : status.error().message;
  };
  EXPECT_EQ(error([](Recipe& r) { r.activation.bits = 8; }),
            "activation.scales is \"two-level\", which is for 2, 3 or 4 bits, but the bits are 8");
  EXPECT_EQ(error([](Recipe& r) { r.weight.number = NumberFormat::kE2M1; }),
            "weight.scales is \"two-level\", which is for integers, but the format is \"e2m1\"");
  EXPECT_EQ(error([](Recipe& r) { r.weight.group = 0; }),
            "weight.scales is \"two-level\", but weight.group is 0: expected groups of columns");
  EXPECT_EQ(error([](Recipe& r) { r.reorder = false; }),
            "deal is \"zigzag\", but reorder is false: expected an order to deal from");
  EXPECT_EQ(error([](Recipe& r) {
              r.reorder = false;
              r.deal = Deal::kSorted;
              r.expert_order = ExpertOrder::kOwn;
            }),
            "expert_order is \"own\", but reorder is false: expected a statistic to order by");
  EXPECT_EQ(error([](Recipe& r) { r.activation.group = 64; }),
            "hadamard is true, expected weight.group and activation.group to be the same, found 32 "
            "and 64");
  Recipe eight = Find("w8a8");
  eight.hadamard = true;
  EXPECT_EQ(ValidateRecipe(eight).error().message,
            "hadamard is true, expected weights or activations of at most 4 bits, found 8 and 8");
}

}  // namespace
}  // namespace atom::quant
