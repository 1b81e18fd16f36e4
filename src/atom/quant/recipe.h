// What to do to a model, as plain data: JSON on disk (artifact/recipe_json.h), stored inside the
// artifact. docs/recipes.md has each field beside the flag of the published program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/quant/formats.h"

namespace atom::quant {

/// A clip ratio: fixed, or found per layer by a grid search on the layer's output error.
struct Clip {
  float ratio = 1.0f;
  bool search = false;
  friend bool operator==(const Clip&, const Clip&) = default;
};

struct WeightRecipe {
  int bits = 16;
  NumberFormat number = NumberFormat::kInt;
  int64_t group = 0;
  int64_t channel_group = 1;
  bool symmetric = true;
  ScaleFormat scales = ScaleFormat::kFp16;
  Clip clip = {};
  bool clip_per_group = false;  ///< with clip.search: for each row and group, by GPTQ
  bool gptq = false;
  double damping = 0.01;
  // With GPTQ:
  bool sequential = false;  ///< q,k,v → o → gate,up → down, each on the stream quantized so far
  double token_cap = 0.0;   ///< a token counts at most as so many median ones; 0: as it is
  double correction = 0.0;  ///< share of the step that makes good the inputs' error; sequential
  friend bool operator==(const WeightRecipe&, const WeightRecipe&) = default;
};

struct ActivationRecipe {
  int bits = 16;
  NumberFormat number = NumberFormat::kInt;
  int64_t group = 0;
  bool symmetric = true;
  ScaleFormat scales = ScaleFormat::kFp16;
  Clip clip = {};
  friend bool operator==(const ActivationRecipe&, const ActivationRecipe&) = default;
};

struct KvRecipe {
  int bits = 16;
  Clip clip = {};
  bool clip_per_head = false;  ///< with clip.search: found for each KV head, K and V apart
  bool before_rope = false;    ///< K before RoPE, as published (simulated only)
  int64_t exact_window = 0;    ///< positions in front of a query's block that are read as fp16
  KvOffset offset = KvOffset::kInteger;
  bool hadamard = false;     ///< K and q rotated at run time, V offline (head_hadamard.h)
  bool remove_mean = false;  ///< a constant mean is taken from all keys of a head

  // What counts: with 16 bits the fields above are without effect.
  bool quantized() const { return bits < 16; }
  bool rotates() const { return quantized() && hadamard; }
  bool removes_mean() const { return quantized() && remove_mean; }
  bool has_head_clips() const { return quantized() && clip.search && clip_per_head; }
  friend bool operator==(const KvRecipe&, const KvRecipe&) = default;
};

struct Recipe {
  std::string name = "none";
  WeightRecipe weight;
  ActivationRecipe activation;
  KvRecipe kv;
  bool reorder = false;
  Metric metric = Metric::kHessian;
  int64_t outliers = 0;
  OutlierFormat outlier_format = OutlierFormat::kInt8;
  Deal deal = Deal::kSorted;
  bool hadamard = false;  ///< rotate low-bit columns in blocks of a group (hadamard.h)
  ExpertOrder expert_order = ExpertOrder::kShared;  ///< of a mixture's channels before `down`
  uint64_t seed = 0;
  bool reference_parity = false;
  friend bool operator==(const Recipe&, const Recipe&) = default;
};

/// atom-w4a4, atom-best, atom-w4a8, w4a16, w8a8, none, …
std::span<const Recipe> RecipePresets();
/// An Error lists the known names.
Result<Recipe> FindRecipe(std::string_view name);
/// Values in range, combinations that exist; one sentence otherwise.
Status ValidateRecipe(const Recipe& recipe);
/// Has the recipe's KV cache what it needs of a head's size? One sentence otherwise.
Status CheckHeadDim(const KvRecipe& kv, int64_t head_dim);
/// Bits that a cached value takes, scale and offset of its head included.
double KvBitsPerValue(const KvRecipe& kv, int64_t head_dim);
/// True when every part has real kernels: the artifact then holds packed codes.
bool HasKernels(const Recipe& recipe);

/// How the K input columns of a linear split: `low_bit` in groups of `group`, then the outliers.
struct ColumnSplit {
  int64_t low_bit = 0;
  int64_t group = 0;  ///< low_bit where one scale serves all
};
ColumnSplit SplitColumns(const Recipe& recipe, int64_t k);

/// The formats of one linear with K inputs, its input edge, and the KV cache. The searched clips
/// are the caller's to fill in. `simulated` forces fake quantization.
WeightFormat WeightFormatFor(const Recipe& recipe);
ActivationFormat ActivationFormatFor(const Recipe& recipe, int64_t k, bool simulated);
KvFormat KvFormatFor(const Recipe& recipe, bool simulated);

}  // namespace atom::quant
