#include "atom/artifact/quantization_config.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/artifact/recipe_json.h"
#include "atom/io/field_reader.h"
#include "atom/io/json.h"
#include "atom/quant/feature.h"

namespace atom::artifact {
namespace {

using io::FieldReader;
using io::Json;
using Missing = FieldReader::Missing;

constexpr std::string_view kQuantMethod = "atom";

constexpr int64_t kShards = 1;  // reserved: parts of each layer for as many devices

Status ReadRecipe(const Json& json, const std::string& where, quant::Recipe& recipe) {
  Result<quant::Recipe> parsed = ParseRecipe(json, where);
  if (!parsed.ok()) return parsed.error();
  recipe = *std::move(parsed);
  return {};
}

Status ReadCalibrationText(const Json& json, const std::string& where, CalibrationText& text) {
  FieldReader fields(json, where, Missing::kRefuse, {"name", "hash", "share", "samples"});
  fields.String("name", text.name);
  fields.String("hash", text.hash);
  if (const auto share = fields.Number("share", {.least = 0.0, .open = true})) text.share = *share;
  if (const auto samples = fields.Int("samples", {.least = 0})) text.samples = *samples;
  return fields.status();
}

// One text ("dataset" and "text_hash"), or the texts of a mixture.
Status ReadCalibration(const Json& json, const std::string& where, CalibrationRecord& record) {
  const bool one_text = !json.contains("texts");
  FieldReader fields =
      one_text ? FieldReader(json, where, Missing::kRefuse,
                             {"dataset", "text_hash", "samples", "sequence_length", "seed"})
               : FieldReader(json, where, Missing::kRefuse,
                             {"texts", "samples", "sequence_length", "seed"});
  fields.Int("samples", record.samples);
  if (one_text) {
    CalibrationText& text = record.texts.emplace_back();
    fields.String("dataset", text.name);
    fields.String("text_hash", text.hash);
    text.samples = record.samples;
  } else if (const Json* texts = fields.Array("texts"); texts != nullptr) {
    for (const Json& text : *texts) {
      const std::string place = fmt::format("{}: text {}", where, record.texts.size() + 1);
      const Status status = ReadCalibrationText(text, place, record.texts.emplace_back());
      if (!status.ok()) return status;
    }
  }
  fields.Int("sequence_length", record.sequence_length);
  fields.Unsigned("seed", record.seed);
  if (record.samples < 0) fields.RefuseValue("samples", "at least 0");
  if (record.sequence_length < 0) fields.RefuseValue("sequence_length", "at least 0");
  return fields.status();
}

Status ReadBitsPerWeight(const Json& json, const std::string& where, QuantizationConfig& config) {
  FieldReader fields(json, where, Missing::kRefuse, {"linears", "model"});
  fields.Number("linears", config.bits_per_weight_linears);
  fields.Number("model", config.bits_per_weight_model);
  return fields.status();
}

// Who wrote the block, and whether this program is new enough to read it: before anything else,
// since the fields of others mean nothing here.
Status CheckMethodAndVersion(const Json& json, const std::string& source) {
  const Result<std::string> method = io::RequireString(json, "quant_method", source);
  if (!method.ok()) return method.error();
  if (*method != kQuantMethod) {
    return MakeError(
        "{}: field 'quant_method' is {}, expected '{}': models quantized by other "
        "methods are not read",
        source, io::DescribeJson(json["quant_method"]), kQuantMethod);
  }
  const Result<int64_t> version = io::RequireInt(json, "format_version", source);
  if (!version.ok()) return version.error();
  if (*version < 1 || *version > QuantizationConfig::kFormatVersion) {
    return MakeError("{}: field 'format_version' is {}, expected 1 to {}: {}", source, *version,
                     QuantizationConfig::kFormatVersion,
                     *version < 1 ? "there is no such version" : "a newer atom wrote it");
  }
  return {};
}

// What an artifact requires of its reader beyond format version 2. A feature changes what fields or
// tensors mean, so that a reader without it must refuse, and can say which one.
Json RequiredFeatures(const quant::Recipe& recipe) {
  Json names = Json::array();
  for (const quant::Feature feature : quant::FeaturesOf(recipe)) names.push_back(Name(feature));
  return names;
}

// The features that a version-2 artifact requires, known ones only, and its shards.
Status CheckRequirements(const Json& json, const std::string& source) {
  const auto found = json.find("requires");
  if (found == json.end() || !found->is_array()) {
    return MakeError("{}: field 'requires' is {}, expected an array of features", source,
                     found == json.end() ? "missing" : io::DescribeJson(*found));
  }
  for (const Json& feature : *found) {
    const bool known = feature.is_string() &&
                       quant::FeatureFromName(feature.get_ref<const std::string&>()).has_value();
    if (known) continue;
    return MakeError("{}: requires {}, which this program does not know: a newer atom wrote it",
                     source, io::DescribeJson(feature));
  }
  const Result<int64_t> shards = io::RequireInt(json, "shards", source);
  if (!shards.ok()) return shards.error();
  if (*shards == kShards) return {};
  return MakeError("{}: field 'shards' is {}, expected {}", source, *shards, kShards);
}

// What no artifact of this program can say.
Status CheckConsistent(const QuantizationConfig& config, const std::string& source) {
  if (!config.simulated && !quant::HasKernels(config.recipe)) {
    return MakeError(
        "{}: field 'simulated' is false, expected true: the recipe '{}' has no "
        "kernels, so its weights cannot be packed",
        source, config.recipe.name);
  }
  const bool by_head = config.recipe.kv.has_head_clips();
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].kv_heads.empty() != by_head) continue;
    return by_head ? MakeError(
                         "{}: layers[{}]: kv_clip is one ratio, expected one a KV head, since "
                         "the recipe has kv.clip \"search-head\"",
                         source, i)
                   : MakeError(
                         "{}: layers[{}]: kv_clip has a ratio a KV head, expected one ratio, "
                         "since the recipe does not have kv.clip \"search-head\"",
                         source, i);
  }
  return {};
}

}  // namespace

Json ToJson(const CalibrationRecord& record) {
  Json json = {{"samples", record.samples},
               {"sequence_length", record.sequence_length},
               {"seed", record.seed}};
  if (record.texts.size() == 1) {
    json["dataset"] = record.texts.front().name;
    json["text_hash"] = record.texts.front().hash;
    return json;
  }
  json["texts"] = Json::array();
  for (const CalibrationText& text : record.texts) {
    json["texts"].push_back({{"name", text.name},
                             {"hash", text.hash},
                             {"share", text.share},
                             {"samples", text.samples}});
  }
  return json;
}

std::string Spelling(const CalibrationRecord& record) {
  if (record.texts.size() == 1) return record.texts.front().name;
  std::string all;
  for (const CalibrationText& text : record.texts) {
    all += fmt::format("{}{}:{}", all.empty() ? "" : ",", text.name, text.share);
  }
  return all;
}

Json ToJson(const QuantizationConfig& config) {
  return {
      {"quant_method", kQuantMethod},
      {"format_version", QuantizationConfig::kFormatVersion},
      {"requires", RequiredFeatures(config.recipe)},
      {"shards", kShards},
      {"tool_version", config.tool_version},
      {"simulated", config.simulated},
      {"recipe", ToJson(config.recipe)},
      {"layers", ToJson(config.layers)},
      {"checkpoint_hash", config.checkpoint_hash},
      {"calibration", ToJson(config.calibration)},
      {"bits_per_weight",
       {{"linears", config.bits_per_weight_linears}, {"model", config.bits_per_weight_model}}},
  };
}

Result<QuantizationConfig> ParseQuantizationConfig(const Json& json, int64_t layers,
                                                   const std::string& source) {
  const std::string where = source + ": quantization_config";
  if (Status status = CheckMethodAndVersion(json, where); !status.ok()) return status.error();
  const bool version1 = json["format_version"] == 1;
  if (!version1) {
    if (Status status = CheckRequirements(json, where); !status.ok()) return status.error();
  }
  QuantizationConfig config;
  FieldReader fields =
      version1
          ? FieldReader(json, where, Missing::kRefuse,
                        {"quant_method", "format_version", "tool_version", "simulated", "recipe",
                         "layers", "checkpoint_hash", "calibration", "bits_per_weight"})
          : FieldReader(json, where, Missing::kRefuse,
                        {"quant_method", "format_version", "requires", "shards", "tool_version",
                         "simulated", "recipe", "layers", "checkpoint_hash", "calibration",
                         "bits_per_weight"});
  fields.String("tool_version", config.tool_version);
  fields.Bool("simulated", config.simulated);
  fields.String("checkpoint_hash", config.checkpoint_hash);
  if (const Json* found = fields.Find("layers"); found != nullptr) {
    const auto parse = version1 ? ParseLayerClipsVersion1 : ParseLayerClips;
    Result<std::vector<LayerClips>> clips = parse(*found, layers, where + ": layers");
    if (!clips.ok()) return clips.error();
    config.layers = *std::move(clips);
  }
  fields.Part("recipe", config.recipe, ReadRecipe);
  fields.Part("calibration", config.calibration, ReadCalibration);
  fields.Part("bits_per_weight", config, ReadBitsPerWeight);
  if (!fields.ok()) return fields.status().error();
  if (Status status = CheckConsistent(config, where); !status.ok()) return status.error();
  return config;
}

void ApplyFormats(const QuantizationConfig& config, int64_t layer, const LayerShape& shape,
                  HostLayer& host) {
  ATOM_CHECK(0 <= layer && layer < static_cast<int64_t>(config.layers.size()), "layer {} of {}",
             layer, config.layers.size());
  const LayerClips& clips = config.layers[static_cast<size_t>(layer)];
  for (const SiteShape& site : shape.Sites()) {
    quant::ActivationFormat& format = host[site.name].format;
    format = quant::ActivationFormatFor(config.recipe, site.width, config.simulated);
    format.clip = clips.activation.at(site.name);
  }
  host.kv = quant::KvFormatFor(config.recipe, config.simulated);
  host.kv.clip = clips.kv;
  host.kv.head_clips = clips.kv_heads;
  if (config.recipe.kv.removes_mean()) {
    host.kv.key_mean.assign(static_cast<size_t>(shape.kv_heads * shape.head_dim), 0.0f);
  }
}

}  // namespace atom::artifact
