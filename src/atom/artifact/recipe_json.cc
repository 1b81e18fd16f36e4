#include "atom/artifact/recipe_json.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "atom/io/field_reader.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::artifact {
namespace {

using io::FieldReader;
using io::Json;
using Missing = FieldReader::Missing;

constexpr auto kNumberFormats = {quant::NumberFormat::kInt, quant::NumberFormat::kFp4Published,
                                 quant::NumberFormat::kE2M1, quant::NumberFormat::kExponent};
constexpr auto kOutlierFormats = {quant::OutlierFormat::kFp16, quant::OutlierFormat::kE5M2,
                                  quant::OutlierFormat::kE4M3, quant::OutlierFormat::kInt8};
constexpr auto kKvOffsets = {quant::KvOffset::kInteger, quant::KvOffset::kFloat};
constexpr auto kScaleFormats = {quant::ScaleFormat::kFp16, quant::ScaleFormat::kTwoLevel};
constexpr auto kDeals = {quant::Deal::kSorted, quant::Deal::kZigzag};
constexpr auto kExpertOrders = {quant::ExpertOrder::kShared, quant::ExpertOrder::kOwn};
constexpr auto kMetrics = {quant::Metric::kHessian, quant::Metric::kAbsMean};

Json ClipJson(const quant::Clip& clip) {
  return clip.search ? Json("search") : Json(io::ShortestDecimal(clip.ratio));
}

// A number, or "search".
void ReadClip(FieldReader& fields, quant::Clip& clip) {
  const Json* found = fields.Find("clip");
  if (found == nullptr) return;
  if (*found == "search") {
    clip = {.ratio = 1.0f, .search = true};
  } else if (found->is_number()) {
    clip.search = false;
    fields.Number("clip", clip.ratio);
  } else {
    fields.RefuseValue("clip", "a number or 'search'");
  }
}

// A number, "search", or "search-group".
void ReadWeightClip(FieldReader& fields, quant::WeightRecipe& weight) {
  const Json* found = fields.Find("clip");
  if (found == nullptr) return;
  weight.clip_per_group = *found == "search-group";
  if (weight.clip_per_group) {
    weight.clip = {.ratio = 1.0f, .search = true};
  } else if (found->is_number() || *found == "search") {
    ReadClip(fields, weight.clip);
  } else {
    fields.RefuseValue("clip", "a number, 'search' or 'search-group'");
  }
}

Status ReadWeight(const Json& json, const std::string& where, quant::WeightRecipe& weight) {
  FieldReader fields(json, where, Missing::kKeep,
                     {"bits", "format", "group", "channel_group", "symmetric", "scales", "clip",
                      "method", "damping", "sequential", "token_cap", "correction"});
  fields.Int("bits", weight.bits);
  fields.Choice("format", kNumberFormats, weight.number);
  fields.Int("group", weight.group);
  fields.Int("channel_group", weight.channel_group);
  fields.Bool("symmetric", weight.symmetric);
  fields.Choice("scales", kScaleFormats, weight.scales);
  ReadWeightClip(fields, weight);
  std::string method = weight.gptq ? "gptq" : "rtn";
  fields.String("method", method);
  if (method != "gptq" && method != "rtn") fields.RefuseValue("method", "one of rtn, gptq");
  weight.gptq = method == "gptq";
  fields.Number("damping", weight.damping);
  fields.Bool("sequential", weight.sequential);
  fields.Number("token_cap", weight.token_cap);
  fields.Number("correction", weight.correction);
  return fields.status();
}

Status ReadActivation(const Json& json, const std::string& where,
                      quant::ActivationRecipe& activation) {
  FieldReader fields(json, where, Missing::kKeep,
                     {"bits", "format", "group", "symmetric", "scales", "clip"});
  fields.Int("bits", activation.bits);
  fields.Choice("format", kNumberFormats, activation.number);
  fields.Int("group", activation.group);
  fields.Bool("symmetric", activation.symmetric);
  fields.Choice("scales", kScaleFormats, activation.scales);
  ReadClip(fields, activation.clip);
  return fields.status();
}

// A number, "search" (a ratio a layer) or "search-head".
void ReadKvClip(FieldReader& fields, quant::KvRecipe& kv) {
  const Json* found = fields.Find("clip");
  if (found == nullptr) return;
  kv.clip_per_head = *found == "search-head";
  if (kv.clip_per_head || *found == "search") {
    kv.clip = {.ratio = 1.0f, .search = true};
  } else if (found->is_number()) {
    kv.clip.search = false;
    fields.Number("clip", kv.clip.ratio);
  } else {
    fields.RefuseValue("clip", "a number, 'search' or 'search-head'");
  }
}

Status ReadKv(const Json& json, const std::string& where, quant::KvRecipe& kv) {
  FieldReader fields(
      json, where, Missing::kKeep,
      {"bits", "clip", "before_rope", "offset", "hadamard", "remove_mean", "exact_window"});
  fields.Int("bits", kv.bits);
  ReadKvClip(fields, kv);
  fields.Bool("before_rope", kv.before_rope);
  fields.Choice("offset", kKvOffsets, kv.offset);
  fields.Bool("hadamard", kv.hadamard);
  fields.Bool("remove_mean", kv.remove_mean);
  fields.Int("exact_window", kv.exact_window);
  return fields.status();
}

Status ReadOutliers(const Json& json, const std::string& where, quant::Recipe& recipe) {
  FieldReader fields(json, where, Missing::kKeep, {"count", "format"});
  fields.Int("count", recipe.outliers);
  fields.Choice("format", kOutlierFormats, recipe.outlier_format);
  return fields.status();
}

// false, or the metric to order by.
void ReadReorder(FieldReader& fields, quant::Recipe& recipe) {
  const Json* found = fields.Find("reorder");
  if (found == nullptr) return;
  if (*found == false) {
    recipe.reorder = false;
  } else if (found->is_string()) {
    recipe.reorder = true;
    fields.Choice("reorder", kMetrics, recipe.metric);
  } else {
    fields.RefuseValue("reorder", "false, 'hessian' or 'abs_mean'");
  }
}

// The preset that "base" names, or "none".
quant::Recipe BaseRecipe(FieldReader& fields) {
  std::string base = "none";
  fields.String("base", base);
  std::string known;
  for (const quant::Recipe& preset : quant::RecipePresets()) {
    if (preset.name == base) return preset;
    known += (known.empty() ? "" : ", ") + preset.name;
  }
  fields.RefuseValue("base", "one of " + known);
  return {};
}

// Text for tables and sentences: what Quote leaves as it is.
void ReadName(FieldReader& fields, std::string& name) {
  fields.String("name", name);
  if (name.empty() || io::Quote(name) != "'" + name + "'") {
    fields.RefuseValue("name", "at most 80 bytes of text without control characters");
  }
}

// What came after the first presets is written where it is used: older recipes keep their bytes.
Json KvJson(const quant::KvRecipe& kv) {
  const bool by_head = kv.clip.search && kv.clip_per_head;
  Json json = {{"bits", kv.bits},
               {"clip", by_head ? Json("search-head") : ClipJson(kv.clip)},
               {"before_rope", kv.before_rope}};
  if (kv.offset != quant::KvOffset::kInteger) json["offset"] = Name(kv.offset);
  if (kv.hadamard) json["hadamard"] = true;
  if (kv.remove_mean) json["remove_mean"] = true;
  if (kv.exact_window != 0) json["exact_window"] = kv.exact_window;
  return json;
}

Json WeightJson(const quant::WeightRecipe& weight) {
  Json json = {{"bits", weight.bits},
               {"format", Name(weight.number)},
               {"group", weight.group},
               {"channel_group", weight.channel_group},
               {"symmetric", weight.symmetric},
               {"clip", weight.clip_per_group ? Json("search-group") : ClipJson(weight.clip)},
               {"method", weight.gptq ? "gptq" : "rtn"},
               {"damping", weight.damping}};
  if (weight.scales != quant::ScaleFormat::kFp16) json["scales"] = Name(weight.scales);
  if (weight.sequential) json["sequential"] = true;
  if (weight.token_cap != 0.0) json["token_cap"] = weight.token_cap;
  if (weight.correction != 0.0) json["correction"] = weight.correction;
  return json;
}

}  // namespace

Json ToJson(const quant::Recipe& recipe) {
  const quant::ActivationRecipe& activation = recipe.activation;
  Json json = {
      {"name", recipe.name},
      {"weight", WeightJson(recipe.weight)},
      {"activation",
       {{"bits", activation.bits},
        {"format", Name(activation.number)},
        {"group", activation.group},
        {"symmetric", activation.symmetric},
        {"clip", ClipJson(activation.clip)}}},
      {"kv", KvJson(recipe.kv)},
      {"outliers", {{"count", recipe.outliers}, {"format", Name(recipe.outlier_format)}}},
      {"reorder", recipe.reorder ? Json(Name(recipe.metric)) : Json(false)},
      {"seed", recipe.seed},
      {"reference_parity", recipe.reference_parity},
  };
  if (activation.scales != quant::ScaleFormat::kFp16) {
    json["activation"]["scales"] = Name(activation.scales);
  }
  if (recipe.deal != quant::Deal::kSorted) json["deal"] = Name(recipe.deal);
  if (recipe.hadamard) json["hadamard"] = true;
  if (recipe.expert_order != quant::ExpertOrder::kShared) {
    json["expert_order"] = Name(recipe.expert_order);
  }
  return json;
}

Result<quant::Recipe> ParseRecipe(const Json& json, const std::string& source) {
  FieldReader fields(json, source, Missing::kKeep,
                     {"name", "base", "weight", "activation", "kv", "outliers", "reorder", "deal",
                      "hadamard", "expert_order", "seed", "reference_parity"});
  quant::Recipe recipe = BaseRecipe(fields);
  ReadName(fields, recipe.name);
  ReadReorder(fields, recipe);
  fields.Choice("deal", kDeals, recipe.deal);
  fields.Bool("hadamard", recipe.hadamard);
  fields.Choice("expert_order", kExpertOrders, recipe.expert_order);
  fields.Unsigned("seed", recipe.seed);
  fields.Bool("reference_parity", recipe.reference_parity);
  fields.Part("weight", recipe.weight, ReadWeight);
  fields.Part("activation", recipe.activation, ReadActivation);
  fields.Part("kv", recipe.kv, ReadKv);
  fields.Part("outliers", recipe, ReadOutliers);
  if (!fields.ok()) return fields.status().error();
  if (const Status valid = quant::ValidateRecipe(recipe); !valid.ok()) {
    return MakeError("{}: {}", source, valid.error().message);
  }
  return recipe;
}

Result<quant::Recipe> LoadRecipe(const std::string& name_or_file) {
  Result<quant::Recipe> preset = quant::FindRecipe(name_or_file);
  if (preset.ok()) return preset;
  std::error_code failed;
  const std::filesystem::path path(name_or_file);
  const bool names_a_file = path.has_parent_path() || path.extension() == ".json";
  if (!names_a_file && !std::filesystem::exists(path, failed)) {
    return MakeError("{}; there is no file of that name either", preset.error().message);
  }
  const Result<Json> json = io::ReadJsonFile(path);
  if (!json.ok()) return json.error();
  return ParseRecipe(*json, path.string());
}

}  // namespace atom::artifact
