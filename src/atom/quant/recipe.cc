#include "atom/quant/recipe.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "atom/quant/hadamard.h"
#include "atom/quant/head_hadamard.h"
#include "atom/quant/quantize_weight.h"

namespace atom::quant {
namespace {

// ---- Presets ----------------------------------------------------------------------------------

/// The published configuration: everything on.
Recipe AtomW4A4() {
  Recipe recipe;
  recipe.name = "atom-w4a4";
  recipe.weight = {.bits = 4, .group = 128, .channel_group = 2, .clip = {0.85f}, .gptq = true};
  recipe.activation = {.bits = 4, .group = 128, .clip = {0.9f}};
  recipe.kv = {.bits = 4};
  recipe.reorder = true;
  recipe.outliers = 128;
  return recipe;
}

/// As above with the published program's order of K and RoPE, and its quirks: for study.
Recipe PublishedW4A4() {
  Recipe recipe = AtomW4A4();
  recipe.name = "published-w4a4";
  recipe.kv.before_rope = true;
  recipe.reference_parity = true;
  return recipe;
}

Recipe AtomW3A3() {
  Recipe recipe = AtomW4A4();
  recipe.name = "atom-w3a3";
  recipe.weight.bits = 3;
  recipe.activation.bits = 3;
  recipe.kv.bits = 3;
  return recipe;
}

/// The published FP4 rows clip in GPTQ only; so do these.
Recipe AtomFp4(std::string name, NumberFormat number) {
  Recipe recipe = AtomW4A4();
  recipe.name = std::move(name);
  recipe.weight.number = number;
  recipe.activation.number = number;
  recipe.activation.clip.ratio = 1.0f;
  return recipe;
}

/// 4-bit weights as little of a model is lost with: docs/accuracy.md has what each part gives.
WeightRecipe CarefulWeights(int64_t group, ScaleFormat scales) {
  return {.bits = 4,
          .group = group,
          .scales = scales,
          .clip = {.search = true},
          .clip_per_group = true,
          .gptq = true,
          .sequential = true,
          .token_cap = 30.0,
          .correction = 0.5};
}

/// What all recipes of ours share: outlier columns, low-bit columns rotated and dealt, a KV cache
/// of 4 bits whose newest positions are exact.
Recipe Careful(std::string name, const WeightRecipe& weight, const ActivationRecipe& activation) {
  Recipe recipe;
  recipe.name = std::move(name);
  recipe.weight = weight;
  recipe.activation = activation;
  recipe.kv = {.bits = 4,
               .clip = {.search = true},
               .clip_per_head = true,
               .exact_window = 16,
               .offset = KvOffset::kFloat,
               .hadamard = true,
               .remove_mean = true};
  recipe.reorder = true;
  recipe.outliers = 64;
  recipe.deal = Deal::kZigzag;
  recipe.hadamard = true;
  return recipe;
}

Recipe AtomBest() {
  return Careful("atom-best", CarefulWeights(32, ScaleFormat::kTwoLevel),
                 {.bits = 4, .group = 32, .scales = ScaleFormat::kTwoLevel, .clip = {0.9f}});
}

/// Activations in INT8, one scale a token and one for its outliers.
Recipe AtomW4A8() {
  return Careful("atom-w4a8", CarefulWeights(32, ScaleFormat::kTwoLevel), {.bits = 8});
}

/// Of all that is above what every backend has kernels for: scales of 16 bits in groups of 128,
/// keys and values as they are, their newest exact.
Recipe W4A8() {
  Recipe recipe = Careful("w4a8", CarefulWeights(128, ScaleFormat::kFp16), {.bits = 8});
  recipe.kv = {.bits = 4, .exact_window = 16};
  return recipe;
}

/// Weights alone.
Recipe W4A16() {
  Recipe recipe = Careful("w4a16", CarefulWeights(64, ScaleFormat::kFp16), {});
  recipe.kv = {};
  return recipe;
}

Recipe Preset(std::string name, const WeightRecipe& weight, const ActivationRecipe& activation,
              const KvRecipe& kv) {
  Recipe recipe;
  recipe.name = std::move(name);
  recipe.weight = weight;
  recipe.activation = activation;
  recipe.kv = kv;
  return recipe;
}

const std::vector<Recipe>& Presets() {
  static const std::vector<Recipe> presets = {
      AtomW4A4(),
      AtomBest(),
      AtomW4A8(),
      W4A8(),
      W4A16(),
      Preset("w4a8-plain", {.bits = 4, .group = 128, .gptq = true}, {.bits = 8}, {.bits = 4}),
      Preset("w8a8", {.bits = 8}, {.bits = 8}, {.bits = 8}),
      Preset("w4a16-plain", {.bits = 4, .group = 128, .gptq = true}, {}, {}),
      Preset("rtn-w4a4", {.bits = 4}, {.bits = 4}, {}),
      Recipe{},
      PublishedW4A4(),
      AtomW3A3(),
      AtomFp4("atom-fp4", NumberFormat::kFp4Published),
      AtomFp4("atom-e2m1", NumberFormat::kE2M1),
  };
  return presets;
}

// ---- Validation (fields are named as in JSON) ------------------------------------------------

constexpr std::array kBits = {2, 3, 4, 8, 16};

Status CheckBits(std::string_view field, int bits) {
  if (std::find(kBits.begin(), kBits.end(), bits) != kBits.end()) return {};
  return MakeError("{} is {}, expected 2, 3, 4, 8 or 16", field, bits);
}

/// Even, because packed 4-bit codes come in pairs.
Status CheckGroup(std::string_view field, int64_t group) {
  if (group >= 0 && group % 2 == 0) return {};
  return MakeError("{} is {}, expected 0 or an even number of columns", field, group);
}

Status CheckClip(std::string_view field, const Clip& clip) {
  if (clip.ratio > 0.0f && clip.ratio <= 1.0f) return {};
  return MakeError("{} is {}, expected a ratio above 0 and at most 1", field, clip.ratio);
}

/// Which bits a number format has; integers have any.
Status CheckNumber(std::string_view field, NumberFormat number, int bits) {
  switch (number) {
    case NumberFormat::kInt:
      return {};
    case NumberFormat::kFp4Published:
    case NumberFormat::kE2M1:
      if (bits == 4 || bits == 16) return {};
      return MakeError("{} is \"{}\", which has 4 bits, but the bits are {}", field, Name(number),
                       bits);
    case NumberFormat::kExponent:
      if (bits <= 4 || bits == 16) return {};
      return MakeError("{} is \"exponent\", which has 2, 3 or 4 bits, but the bits are {}", field,
                       bits);
  }
  return MakeError("{} is {}, which is no number format", field, static_cast<int>(number));
}

/// Two-level scales: of 4-bit integers (fewer bits too, simulated) in groups.
Status CheckScales(std::string_view part, ScaleFormat scales, NumberFormat number, int bits,
                   int64_t group) {
  if (scales == ScaleFormat::kFp16) return {};
  if (number != NumberFormat::kInt) {
    return MakeError("{}.scales is \"two-level\", which is for integers, but the format is \"{}\"",
                     part, Name(number));
  }
  if (bits > 4) {
    return MakeError("{}.scales is \"two-level\", which is for 2, 3 or 4 bits, but the bits are {}",
                     part, bits);
  }
  if (group > 0) return {};
  return MakeError("{}.scales is \"two-level\", but {}.group is 0: expected groups of columns",
                   part, part);
}

/// What only GPTQ, which sees tokens, can do.
Status CheckCalibrated(const WeightRecipe& weight) {
  if (weight.token_cap != 0.0 && !(weight.token_cap >= 1.0 && weight.token_cap <= 1e9)) {
    return MakeError("weight.token_cap is {}, expected 0, or 1 to 1e9", weight.token_cap);
  }
  if (!(weight.correction >= 0.0 && weight.correction <= 1.0)) {
    return MakeError("weight.correction is {}, expected a share from 0 to 1", weight.correction);
  }
  if (weight.correction > 0.0 && !weight.sequential) {
    return MakeError("weight.correction is {}, expected 0 where weight.sequential is false",
                     weight.correction);
  }
  if (weight.gptq) return {};
  const std::string_view found = weight.sequential        ? "weight.sequential is true"
                                 : weight.token_cap > 0.0 ? "weight.token_cap is not 0"
                                 : weight.clip_per_group  ? "weight.clip is \"search-group\""
                                                          : "";
  if (found.empty()) return {};
  return MakeError("{}, but weight.method is \"rtn\", expected \"gptq\"", found);
}

Status CheckWeight(const WeightRecipe& weight) {
  for (const Status& status :
       {CheckBits("weight.bits", weight.bits),
        CheckNumber("weight.format", weight.number, weight.bits),
        CheckGroup("weight.group", weight.group), CheckClip("weight.clip", weight.clip),
        CheckScales("weight", weight.scales, weight.number, weight.bits, weight.group)}) {
    if (!status.ok()) return status;
  }
  if (weight.channel_group < 1) {
    return MakeError("weight.channel_group is {}, expected at least 1", weight.channel_group);
  }
  if (!(weight.damping >= 0.0 && weight.damping <= 1.0)) {
    return MakeError("weight.damping is {}, expected a share from 0 to 1", weight.damping);
  }
  if (Status status = CheckCalibrated(weight); !status.ok()) return status;
  if (weight.gptq && weight.number == NumberFormat::kExponent) {
    return MakeError("weight.method is \"gptq\", expected \"rtn\" for weight.format \"exponent\"");
  }
  return {};
}

Status CheckActivation(const ActivationRecipe& activation) {
  for (const Status& status : {CheckBits("activation.bits", activation.bits),
                               CheckNumber("activation.format", activation.number, activation.bits),
                               CheckGroup("activation.group", activation.group),
                               CheckClip("activation.clip", activation.clip),
                               CheckScales("activation", activation.scales, activation.number,
                                           activation.bits, activation.group)}) {
    if (!status.ok()) return status;
  }
  if (activation.number == NumberFormat::kExponent) {
    return MakeError("activation.format is \"exponent\", expected \"int\", \"fp4\" or \"e2m1\"");
  }
  return {};
}

Status CheckExactWindow(const KvRecipe& kv) {
  constexpr int64_t kMost = int64_t{1} << 20;
  const int64_t window = kv.exact_window;
  if (window == 0) return {};
  if (window < 0 || window > kMost || window % kExactBlock != 0) {
    return MakeError("kv.exact_window is {}, expected 0 or a multiple of {} up to {}", window,
                     kExactBlock, kMost);
  }
  if (kv.bits == 16) {
    return MakeError("kv.exact_window is {}, expected 0: with kv.bits 16 nothing is quantized",
                     window);
  }
  if (kv.before_rope) {
    return MakeError(
        "kv.exact_window is {}, expected 0 with kv.before_rope: exact keys are rotated", window);
  }
  return {};
}

Status CheckKv(const KvRecipe& kv) {
  for (const Status& status :
       {CheckBits("kv.bits", kv.bits), CheckClip("kv.clip", kv.clip), CheckExactWindow(kv)}) {
    if (!status.ok()) return status;
  }
  if (kv.before_rope && kv.hadamard) {
    return MakeError(
        "kv.before_rope is true, expected false with kv.hadamard: rotations of K "
        "come after RoPE");
  }
  if (kv.before_rope && kv.remove_mean) {
    return MakeError(
        "kv.before_rope is true, expected false with kv.remove_mean: the mean is that "
        "of keys after RoPE");
  }
  return {};
}

/// How columns are dealt and rotated.
Status CheckColumns(const Recipe& recipe) {
  if (recipe.deal == Deal::kZigzag && !recipe.reorder) {
    return MakeError("deal is \"zigzag\", but reorder is false: expected an order to deal from");
  }
  if (recipe.expert_order == ExpertOrder::kOwn && !recipe.reorder) {
    return MakeError(
        "expert_order is \"own\", but reorder is false: expected a statistic to order by");
  }
  if (recipe.hadamard && recipe.weight.bits > 4 && recipe.activation.bits > 4) {
    return MakeError(
        "hadamard is true, expected weights or activations of at most 4 bits, found {} and {}",
        recipe.weight.bits, recipe.activation.bits);
  }
  const int64_t weight = recipe.weight.group;
  const int64_t activation = recipe.activation.group;
  const bool both = recipe.weight.bits < 16 && recipe.activation.bits < 16;
  if (recipe.hadamard && both && weight > 0 && activation > 0 && weight != activation) {
    return MakeError(
        "hadamard is true, expected weight.group and activation.group to be the same, found {} "
        "and {}",
        weight, activation);
  }
  return {};
}

// ---- Kernels ----------------------------------------------------------------------------------

/// The pairs of docs/numerics.md, section 3.
bool LinearHasKernel(const Recipe& recipe) {
  const WeightRecipe& weight = recipe.weight;
  const ActivationRecipe& activation = recipe.activation;
  if (weight.bits == 16) return activation.bits == 16;
  if (!IsPackable(WeightFormatFor(recipe))) return false;
  if (activation.bits == 16) return weight.bits == 4;
  if (activation.number != NumberFormat::kInt || !activation.symmetric) return false;
  if (weight.bits == 8) return activation.bits == 8 && activation.group == 0;
  const bool one_scale = activation.group == 0;
  if (activation.bits == 8) return one_scale;
  if (activation.bits != 4) return false;
  return one_scale || (activation.group == weight.group && activation.scales == weight.scales);
}

bool KvHasKernel(const KvRecipe& kv) {
  if (kv.bits == 16) return true;
  return (kv.bits == 4 || kv.bits == 8) && !kv.before_rope;
}

}  // namespace

std::span<const Recipe> RecipePresets() { return Presets(); }

Result<Recipe> FindRecipe(std::string_view name) {
  std::string known;
  for (const Recipe& preset : Presets()) {
    if (preset.name == name) return preset;
    known += known.empty() ? preset.name : ", " + preset.name;
  }
  return MakeError("there is no recipe named \"{}\"; known are {}", name, known);
}

Status ValidateRecipe(const Recipe& recipe) {
  for (const Status& status : {CheckWeight(recipe.weight), CheckActivation(recipe.activation),
                               CheckKv(recipe.kv), CheckColumns(recipe)}) {
    if (!status.ok()) return status;
  }
  if (recipe.outliers < 0) {
    return MakeError("outliers.count is {}, expected 0 or more columns", recipe.outliers);
  }
  return {};
}

Status CheckHeadDim(const KvRecipe& kv, int64_t head_dim) {
  if (!kv.rotates() || HasHeadHadamard(head_dim)) return {};
  return MakeError(
      "kv.hadamard is true, expected heads of 2^n, 12 * 2^n or 20 * 2^n channels, found heads of "
      "{}",
      head_dim);
}

double KvBitsPerValue(const KvRecipe& kv, int64_t head_dim) {
  if (!kv.quantized()) return 16.0;
  constexpr int kScaleBits = 16;
  const int offset_bits = kv.offset == KvOffset::kFloat ? 16 : kv.bits;
  return kv.bits + static_cast<double>(kScaleBits + offset_bits) / static_cast<double>(head_dim);
}

bool HasKernels(const Recipe& recipe) {
  // The quirks of the published program exist fake-quantized only.
  return !recipe.reference_parity && LinearHasKernel(recipe) && KvHasKernel(recipe.kv);
}

ColumnSplit SplitColumns(const Recipe& recipe, int64_t k) {
  // The columns that packed weights keep in INT8; where activations have groups of another size
  // (simulated only), those that leave none of these ragged.
  WeightFormat format = WeightFormatFor(recipe);
  const ActivationRecipe& activation = recipe.activation;
  if (activation.bits < 16 && activation.group != 0) format.group = activation.group;
  const int64_t low_bit = k - std::clamp<int64_t>(format.OutlierColumns(k), 0, k);
  return {.low_bit = low_bit, .group = format.group == 0 ? low_bit : format.group};
}

WeightFormat WeightFormatFor(const Recipe& recipe) {
  return {.bits = recipe.weight.bits,
          .number = recipe.weight.number,
          .group = recipe.weight.group,
          .channel_group = recipe.weight.channel_group,
          .symmetric = recipe.weight.symmetric,
          .scales = recipe.weight.scales,
          .clip = recipe.weight.clip.ratio,
          .clip_per_group = recipe.weight.clip_per_group,
          .outliers = recipe.outliers,
          .outlier_format = recipe.outlier_format,
          .gptq = recipe.weight.gptq,
          .damping = recipe.weight.damping,
          .reference_parity = recipe.reference_parity};
}

ActivationFormat ActivationFormatFor(const Recipe& recipe, int64_t k, bool simulated) {
  const ActivationRecipe& activation = recipe.activation;
  const ColumnSplit split = SplitColumns(recipe, k);
  ActivationFormat format;
  if (recipe.hadamard && split.low_bit > 0 && IsPowerOfTwo(split.group)) {
    format.hadamard = split.group;
    format.outlier_columns = k - split.low_bit;
  }
  if (activation.bits == 16) return format;
  format.bits = activation.bits;
  format.number = activation.number;
  format.symmetric = activation.symmetric;
  // A linear too narrow for a group beside its outliers has nothing but outliers: no groups, as its
  // weight has none.
  if (split.low_bit > 0) {
    format.group = activation.group;
    format.scales = activation.scales;
  }
  format.clip = activation.clip.ratio;
  format.outlier_format = recipe.outlier_format;
  format.simulated = simulated || !HasKernels(recipe);
  format.reference_parity = recipe.reference_parity;
  format.outlier_columns = k - split.low_bit;
  return format;
}

KvFormat KvFormatFor(const Recipe& recipe, bool simulated) {
  KvFormat format;
  const int bits = recipe.kv.bits;
  const bool fake = simulated || !HasKernels(recipe);
  if (bits == 16) {
    // A plain float model keeps fp32, as its other tensors; a quantized one what the format says.
    const bool plain = recipe.weight.bits == 16 && recipe.activation.bits == 16;
    format.storage = plain || fake ? KvStorage::kF32 : KvStorage::kF16;
    return format;
  }
  format.clip = recipe.kv.clip.ratio;
  format.reference_parity = recipe.reference_parity;
  format.offset = recipe.kv.offset;
  format.hadamard = recipe.kv.hadamard;
  format.exact_window = recipe.kv.exact_window;
  if (fake) {
    format.storage = KvStorage::kF32;
    format.fake_bits = bits;
    format.fake_before_rope = recipe.kv.before_rope;
  } else {
    format.storage = bits == 4 ? KvStorage::kInt4 : KvStorage::kInt8;
  }
  return format;
}

}  // namespace atom::quant
