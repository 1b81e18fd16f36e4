#include "atom/eval/ablation_ladder.h"

namespace atom::eval {
namespace {

using quant::Recipe;

/// Holds the recipe that each step changes further.
class LadderBuilder {
 public:
  Recipe recipe;
  bool mixed_calibration = false;

  void Add(const char* label) {
    recipe.name = label;
    const int step = static_cast<int>(steps_.size()) - 1;
    steps_.push_back({step, label, recipe, mixed_calibration});
  }
  std::vector<AblationStep> Take() { return std::move(steps_); }

 private:
  std::vector<AblationStep> steps_;
};

void AddPublished(LadderBuilder& ladder) {
  Recipe& recipe = ladder.recipe;
  ladder.Add("fp");
  recipe.weight.bits = 4;
  recipe.activation.bits = 4;
  ladder.Add("base");
  recipe.reorder = true;
  recipe.metric = quant::Metric::kHessian;
  recipe.outliers = 128;
  recipe.outlier_format = quant::OutlierFormat::kFp16;
  ladder.Add("keep-fp16");
  recipe.outlier_format = quant::OutlierFormat::kInt8;
  ladder.Add("keep-int8");
  recipe.weight.group = 128;
  recipe.weight.channel_group = 2;
  recipe.activation.group = 128;
  ladder.Add("group");
  recipe.activation.clip.ratio = 0.9f;
  recipe.weight.clip.ratio = 0.85f;
  ladder.Add("clip");
  recipe.weight.gptq = true;
  ladder.Add("gptq");
  recipe.kv.bits = 4;
  recipe.kv.before_rope = true;
  ladder.Add("kv-int4");
}

void AddKvSteps(LadderBuilder& ladder) {
  quant::KvRecipe& kv = ladder.recipe.kv;
  kv.before_rope = false;  // rotations of K come after RoPE
  kv.hadamard = true;
  ladder.Add("kv-hadamard");
  kv.offset = quant::KvOffset::kFloat;
  kv.clip.search = true;
  kv.clip_per_head = true;
  ladder.Add("kv-offset");
  kv.remove_mean = true;
  ladder.Add("kv-mean");
  kv.exact_window = 16;
  ladder.Add("kv-window");
}

void AddLinearSteps(LadderBuilder& ladder) {
  Recipe& recipe = ladder.recipe;
  recipe.hadamard = true;
  recipe.deal = quant::Deal::kZigzag;
  ladder.Add("hadamard");
  recipe.weight.channel_group = 1;
  ladder.Add("row-scales");
  recipe.weight.clip = {.search = true};
  recipe.weight.clip_per_group = true;
  ladder.Add("clip-search");
  recipe.weight.sequential = true;
  recipe.weight.token_cap = 30.0;
  ladder.mixed_calibration = true;
  ladder.Add("sequential");
  recipe.weight.correction = 0.5;
  ladder.Add("correction");
  recipe.weight.group = 32;
  recipe.activation.group = 32;
  recipe.outliers = 64;
  ladder.Add("group-32");
  recipe.weight.scales = quant::ScaleFormat::kTwoLevel;
  recipe.activation.scales = quant::ScaleFormat::kTwoLevel;
  ladder.Add("two-level");
}

}  // namespace

std::string_view Name(Ladder ladder) {
  switch (ladder) {
    case Ladder::kAtomW4A4:
      return "atom-w4a4";
    case Ladder::kAtomBest:
      return "atom-best";
  }
  return "";
}

std::vector<AblationStep> AblationLadder(Ladder ladder) {
  LadderBuilder builder;
  AddPublished(builder);
  if (ladder == Ladder::kAtomBest) {
    AddKvSteps(builder);
    AddLinearSteps(builder);
  }
  return builder.Take();
}

}  // namespace atom::eval
