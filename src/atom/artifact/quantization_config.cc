#include "atom/artifact/quantization_config.h"

#include <array>
#include <nlohmann/json.hpp>
#include <span>

#include "atom/artifact/recipe_json.h"
#include "atom/io/field_reader.h"
#include "atom/io/json.h"

namespace atom::artifact {
namespace {

using io::FieldReader;
using io::Json;
using Missing = FieldReader::Missing;

constexpr std::string_view kQuantMethod = "atom";
constexpr double kMaxClip = 1.0;

// One row a layer: an array of numbers, or the number itself where there is one.
template <class ClipsOf>
Json ClipTable(const std::vector<LayerClips>& layers, ClipsOf clips_of) {
  Json table = Json::array();
  for (const LayerClips& layer : layers) {
    Json row = Json::array();
    for (const float clip : clips_of(layer)) row.push_back(io::ShortestDecimal(clip));
    table.push_back(row.size() == 1 ? row[0] : row);
  }
  return table;
}

Status ReadClip(const Json& json, const std::string& where, float& clip) {
  const double value = json.is_number() ? json.get<double>() : 0.0;
  if (!(value <= kMaxClip && static_cast<float>(value) > 0.0f)) {
    return MakeError("{} is {}, expected a clip ratio above 0, at most {}", where,
                     io::DescribeJson(json), kMaxClip);
  }
  clip = static_cast<float>(value);
  return {};
}

Status ReadClips(const Json& row, const std::string& where, std::span<float> clips) {
  if (clips.size() == 1) return ReadClip(row, where, clips[0]);
  if (!row.is_array() || row.size() != clips.size()) {
    return MakeError(
        "{} is {}, expected an array of {} numbers", where,
        row.is_array() ? fmt::format("an array of {}", row.size()) : io::DescribeJson(row),
        clips.size());
  }
  for (size_t i = 0; i < clips.size(); ++i) {
    const Status read = ReadClip(row[i], fmt::format("{}[{}]", where, i), clips[i]);
    if (!read.ok()) return read;
  }
  return {};
}

// The field `key`: one row a layer, read into clips_of(layer).
template <class ClipsOf>
void ReadClipTable(FieldReader& fields, std::string_view key, const std::string& where,
                   int64_t expected, std::vector<LayerClips>& layers, ClipsOf clips_of) {
  const Json* table = fields.Find(key);
  if (table == nullptr) return;
  if (!table->is_array() || static_cast<int64_t>(table->size()) != expected) {
    const std::string found = table->is_array() ? fmt::format("has {} layers", table->size())
                                                : "is " + io::DescribeJson(*table);
    fields.Fail(MakeError("{}: field '{}' {}, expected {} layers", where, key, found, expected));
    return;
  }
  layers.resize(static_cast<size_t>(expected));
  for (size_t i = 0; i < layers.size() && fields.ok(); ++i) {
    const Status read =
        ReadClips((*table)[i], fmt::format("{}: {}[{}]", where, key, i), clips_of(layers[i]));
    if (!read.ok()) fields.Fail(read.error());
  }
}

Status ReadLayers(const Json& json, const std::string& where, int64_t expected,
                  std::vector<LayerClips>& layers) {
  FieldReader fields(json, where, Missing::kRefuse, {"activation_clip", "kv_clip", "weight_clip"});
  ReadClipTable(fields, "activation_clip", where, expected, layers,
                [](LayerClips& clips) { return std::span<float>(clips.activation); });
  ReadClipTable(fields, "kv_clip", where, expected, layers,
                [](LayerClips& clips) { return std::span<float>(&clips.kv, 1); });
  ReadClipTable(fields, "weight_clip", where, expected, layers,
                [](LayerClips& clips) { return std::span<float>(clips.weight); });
  return fields.status();
}

Status ReadRecipe(const Json& json, const std::string& where, quant::Recipe& recipe) {
  Result<quant::Recipe> parsed = ParseRecipe(json, where);
  if (!parsed.ok()) return parsed.error();
  recipe = *std::move(parsed);
  return {};
}

Status ReadCalibration(const Json& json, const std::string& where, CalibrationRecord& record) {
  FieldReader fields(json, where, Missing::kRefuse,
                     {"dataset", "text_hash", "samples", "sequence_length", "seed"});
  fields.String("dataset", record.dataset);
  fields.String("text_hash", record.text_hash);
  fields.Int("samples", record.samples);
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

// What no artifact of this program can say.
Status CheckConsistent(const QuantizationConfig& config, const std::string& source) {
  if (!config.simulated && !quant::HasKernels(config.recipe)) {
    return MakeError(
        "{}: field 'simulated' is false, expected true: the recipe '{}' has no "
        "kernels, so its weights cannot be packed",
        source, config.recipe.name);
  }
  return {};
}

}  // namespace

Json ToJson(const QuantizationConfig& config) {
  const auto kv_clips = [](const LayerClips& layer) { return std::array{layer.kv}; };
  return {
      {"quant_method", kQuantMethod},
      {"format_version", QuantizationConfig::kFormatVersion},
      {"tool_version", config.tool_version},
      {"simulated", config.simulated},
      {"recipe", ToJson(config.recipe)},
      {"layers",
       {{"activation_clip",
         ClipTable(config.layers, [](const LayerClips& layer) { return layer.activation; })},
        {"kv_clip", ClipTable(config.layers, kv_clips)},
        {"weight_clip",
         ClipTable(config.layers, [](const LayerClips& layer) { return layer.weight; })}}},
      {"checkpoint_hash", config.checkpoint_hash},
      {"calibration",
       {{"dataset", config.calibration.dataset},
        {"text_hash", config.calibration.text_hash},
        {"samples", config.calibration.samples},
        {"sequence_length", config.calibration.sequence_length},
        {"seed", config.calibration.seed}}},
      {"bits_per_weight",
       {{"linears", config.bits_per_weight_linears}, {"model", config.bits_per_weight_model}}},
  };
}

Result<QuantizationConfig> ParseQuantizationConfig(const Json& json, int64_t layers,
                                                   const std::string& source) {
  const std::string where = source + ": quantization_config";
  if (Status status = CheckMethodAndVersion(json, where); !status.ok()) return status.error();
  QuantizationConfig config;
  FieldReader fields(json, where, Missing::kRefuse,
                     {"quant_method", "format_version", "tool_version", "simulated", "recipe",
                      "layers", "checkpoint_hash", "calibration", "bits_per_weight"});
  fields.String("tool_version", config.tool_version);
  fields.Bool("simulated", config.simulated);
  fields.String("checkpoint_hash", config.checkpoint_hash);
  fields.Part("layers", config.layers,
              [&](const Json& part, const std::string& of, std::vector<LayerClips>& clips) {
                return ReadLayers(part, of, layers, clips);
              });
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
  for (const LinearId id : kLinears) {  // linears of one edge have one K
    const EdgeId edge = InputEdge(id);
    quant::ActivationFormat& format = host[edge].format;
    format = quant::ActivationFormatFor(config.recipe, shape[id].k, config.simulated);
    format.clip = clips.activation[static_cast<size_t>(edge)];
  }
  host.kv = quant::KvFormatFor(config.recipe, config.simulated);
  host.kv.clip = clips.kv;
}

}  // namespace atom::artifact
