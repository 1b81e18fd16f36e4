#include "atom/eval/ablation_ladder.h"

#include <gtest/gtest.h>

namespace atom::eval {
namespace {

std::vector<std::string> Labels(Ladder ladder) {
  std::vector<std::string> labels;
  for (const AblationStep& step : AblationLadder(ladder)) labels.push_back(step.label);
  return labels;
}

TEST(AblationLadderTest, TheFirstRowsAreThePublishedOnes) {
  const std::vector<AblationStep> ladder = AblationLadder(Ladder::kAtomW4A4);
  EXPECT_EQ(Labels(Ladder::kAtomW4A4),
            (std::vector<std::string>{"fp", "base", "keep-fp16", "keep-int8", "group", "clip",
                                      "gptq", "kv-int4"}));
  EXPECT_EQ(ladder.front().step, -1);
  EXPECT_EQ(ladder.back().step, 6);
  EXPECT_EQ(ladder[1].recipe.weight.group, 0);
  EXPECT_EQ(ladder[1].recipe.outliers, 0);
  EXPECT_EQ(ladder[2].recipe.outlier_format, quant::OutlierFormat::kFp16);
  EXPECT_EQ(ladder[4].recipe.weight.channel_group, 2);
  EXPECT_FLOAT_EQ(ladder[5].recipe.weight.clip.ratio, 0.85f);
  EXPECT_TRUE(ladder[6].recipe.weight.gptq);
  EXPECT_EQ(ladder[6].recipe.kv.bits, 16);
  EXPECT_TRUE(ladder[7].recipe.kv.before_rope);
}

TEST(AblationLadderTest, GoesOnFromThereToThePreset) {
  const std::vector<AblationStep> published = AblationLadder(Ladder::kAtomW4A4);
  const std::vector<AblationStep> best = AblationLadder(Ladder::kAtomBest);
  ASSERT_GT(best.size(), published.size());
  for (size_t i = 0; i < published.size(); ++i) {
    EXPECT_EQ(best[i].step, published[i].step);
    EXPECT_EQ(best[i].recipe, published[i].recipe);
    EXPECT_FALSE(best[i].mixed_calibration);
  }
  quant::Recipe last = best.back().recipe;
  EXPECT_EQ(last.name, best.back().label);
  last.name = "atom-best";
  EXPECT_EQ(last, quant::FindRecipe("atom-best").value());
  EXPECT_TRUE(best.back().mixed_calibration);
}

TEST(AblationLadderTest, EachStepIsARecipeOfItsOwn) {
  const std::vector<AblationStep> ladder = AblationLadder(Ladder::kAtomBest);
  for (size_t i = 0; i < ladder.size(); ++i) {
    EXPECT_EQ(ladder[i].step, static_cast<int>(i) - 1);
    EXPECT_TRUE(quant::ValidateRecipe(ladder[i].recipe).ok()) << ladder[i].label;
    if (i == 0) continue;
    quant::Recipe before = ladder[i - 1].recipe;
    before.name = ladder[i].label;
    EXPECT_NE(before, ladder[i].recipe) << ladder[i].label;
    EXPECT_GE(ladder[i].mixed_calibration, ladder[i - 1].mixed_calibration);
  }
}

}  // namespace
}  // namespace atom::eval
