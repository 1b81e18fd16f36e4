#include "atom/artifact/layer_clips.h"

#include <array>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <span>

#include "atom/io/field_reader.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::artifact {
namespace {

using io::FieldReader;
using io::Json;
using Missing = FieldReader::Missing;

constexpr double kMaxClip = 1.0;  // of activations and KV

// The columns of version 1, which knew one family.
constexpr std::array kColumns1 = {LinearRole::kQ,   LinearRole::kK,    LinearRole::kV,
                                  LinearRole::kO,   LinearRole::kGate, LinearRole::kUp,
                                  LinearRole::kDown};
constexpr std::array kSites1 = {SiteRole::kQkv, SiteRole::kO, SiteRole::kGateUp, SiteRole::kDown};

Status ReadClip(const Json& json, const std::string& where, double most, float& clip) {
  const double value = json.is_number() ? json.get<double>() : 0.0;
  if (!(value <= most && static_cast<float>(value) > 0.0f)) {
    return MakeError("{} is {}, expected a clip ratio above 0, at most {}", where,
                     io::DescribeJson(json), most);
  }
  clip = static_cast<float>(value);
  return {};
}

template <class Name>
Json ClipsToJson(const std::map<Name, float>& clips) {
  Json json = Json::object();
  for (const auto& [name, clip] : clips) json[ToString(name)] = io::ShortestDecimal(clip);
  return json;
}

std::optional<LinearName> NameFrom(std::string_view text, LinearName) {
  return LinearNameFrom(text);
}
std::optional<SiteName> NameFrom(std::string_view text, SiteName) { return SiteNameFrom(text); }

// An object name → ratio.
template <class Name>
Status ReadClips(const Json& json, const std::string& where, double most,
                 std::map<Name, float>& clips) {
  if (!json.is_object()) {
    return MakeError("{} is {}, expected an object of clip ratios", where, io::DescribeJson(json));
  }
  for (const auto& [key, value] : json.items()) {
    const std::optional<Name> name = NameFrom(key, Name());
    if (!name) {
      return MakeError("{}: {} is not known, expected one of {}", where, io::Quote(key),
                       fmt::join(RoleNames(Name().role), ", "));
    }
    const Status read = ReadClip(value, fmt::format("{}: {}", where, key), most, clips[*name]);
    if (!read.ok()) return read;
  }
  return {};
}

// Each site's transform of its activations; none exists yet, and "none" may be said.
Status ReadTransforms(const Json& json, const std::string& where) {
  if (!json.is_object()) {
    return MakeError("{} is {}, expected an object", where, io::DescribeJson(json));
  }
  for (const auto& [site, transform] : json.items()) {
    if (transform == "none") continue;
    return MakeError("{}: {} has the transform {}, expected none: a newer atom wrote it", where,
                     io::Quote(site), io::DescribeJson(transform));
  }
  return {};
}

// The ratios of K's heads or V's.
Status ReadHeadClips(const Json& json, const std::string& where, std::vector<float>& clips) {
  if (!json.is_array()) {
    return MakeError("{} is {}, expected an array of clip ratios, one a KV head", where,
                     io::DescribeJson(json));
  }
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", where, i);
    if (Status s = ReadClip(json[i], at, kMaxClip, clips.emplace_back()); !s.ok()) return s;
  }
  return {};
}

// One ratio, or one a head.
Status ReadKvClip(const Json& json, const std::string& where, LayerClips& clips) {
  if (!json.is_object()) return ReadClip(json, where, kMaxClip, clips.kv);
  FieldReader fields(json, where, Missing::kRefuse, {"k", "v"});
  size_t counts[2] = {};
  for (const size_t which : {0, 1}) {
    const std::string_view key = which == 0 ? "k" : "v";
    const Json* found = fields.Find(key);
    if (found == nullptr) break;
    const size_t before = clips.kv_heads.size();
    const Status read = ReadHeadClips(*found, fmt::format("{}: {}", where, key), clips.kv_heads);
    if (!read.ok()) return read;
    counts[which] = clips.kv_heads.size() - before;
  }
  if (!fields.ok()) return fields.status();
  if (counts[0] == counts[1] && counts[0] > 0) return {};
  return MakeError("{} has {} ratios for K and {} for V, expected one a KV head for both", where,
                   counts[0], counts[1]);
}

Json KvClipToJson(const LayerClips& clips) {
  if (clips.kv_heads.empty()) return io::ShortestDecimal(clips.kv);
  Json json = {{"k", Json::array()}, {"v", Json::array()}};
  for (size_t i = 0; i < clips.kv_heads.size(); ++i) {
    const char* which = i < clips.kv_heads.size() / 2 ? "k" : "v";
    json[which].push_back(io::ShortestDecimal(clips.kv_heads[i]));
  }
  return json;
}

Status ReadLayer(const Json& json, const std::string& where, LayerClips& clips) {
  FieldReader fields(json, where, Missing::kRefuse,
                     {"activation_clip", "kv_clip", "weight_clip", "transforms"});
  const auto read = [&](std::string_view key, const auto& read_value) {
    const Json* found = fields.Find(key);
    if (found == nullptr) return;
    const Status status = read_value(*found, fmt::format("{}: {}", where, key));
    if (!status.ok()) fields.Fail(status.error());
  };
  read("activation_clip", [&](const Json& value, const std::string& of) {
    return ReadClips(value, of, kMaxClip, clips.activation);
  });
  read("kv_clip",
       [&](const Json& value, const std::string& of) { return ReadKvClip(value, of, clips); });
  read("weight_clip", [&](const Json& value, const std::string& of) {
    return ReadClips(value, of, kMaxWeightClip, clips.weight);
  });
  if (json.is_object() && json.contains("transforms")) read("transforms", ReadTransforms);
  return fields.status();
}

// One row of a table of version 1.
Status ReadRow(const Json& row, const std::string& where, double most, std::span<float> clips) {
  if (!row.is_array() || row.size() != clips.size()) {
    return MakeError(
        "{} is {}, expected an array of {} numbers", where,
        row.is_array() ? fmt::format("an array of {}", row.size()) : io::DescribeJson(row),
        clips.size());
  }
  for (size_t i = 0; i < clips.size(); ++i) {
    const Status read = ReadClip(row[i], fmt::format("{}[{}]", where, i), most, clips[i]);
    if (!read.ok()) return read;
  }
  return {};
}

// A table of version 1: read_row(row, its name for sentences, layer).
template <class ReadRow>
void ReadTable(FieldReader& fields, std::string_view key, const std::string& where,
               int64_t expected, ReadRow read_row) {
  const Json* table = fields.Find(key);
  if (table == nullptr) return;
  if (!table->is_array() || static_cast<int64_t>(table->size()) != expected) {
    const std::string found = table->is_array() ? fmt::format("has {} layers", table->size())
                                                : "is " + io::DescribeJson(*table);
    fields.Fail(MakeError("{}: field '{}' {}, expected {} layers", where, key, found, expected));
    return;
  }
  for (size_t i = 0; i < table->size() && fields.ok(); ++i) {
    const Status read = read_row((*table)[i], fmt::format("{}: {}[{}]", where, key, i), i);
    if (!read.ok()) fields.Fail(read.error());
  }
}

template <class Name, class Shapes>
Status CheckNames(const std::map<Name, float>& clips, const Shapes& shapes, std::string_view field,
                  const std::string& where) {
  for (const auto& shape : shapes) {
    if (clips.contains(shape.name)) continue;
    return MakeError("{}: {}: {} is missing, expected a clip ratio for it", where, field,
                     io::Quote(ToString(shape.name)));
  }
  for (const auto& [name, clip] : clips) {
    // Named again: clang 14 captures no structured binding.
    const bool known =
        std::any_of(shapes.begin(), shapes.end(),
                    [&wanted = name](const auto& shape) { return shape.name == wanted; });
    if (known) continue;
    return MakeError("{}: {}: there is {}, which the model does not have", where, field,
                     io::Quote(ToString(name)));
  }
  return {};
}

}  // namespace

LayerClips::LayerClips(const LayerShape& shape, float weight_clip, float activation_clip,
                       float kv_clip)
    : kv(kv_clip) {
  for (const LinearShape& linear : shape.linears) weight[linear.name] = weight_clip;
  for (const SiteShape& site : shape.Sites()) activation[site.name] = activation_clip;
}

Json ToJson(const std::vector<LayerClips>& layers) {
  Json json = Json::array();
  for (const LayerClips& clips : layers) {
    json.push_back({{"activation_clip", ClipsToJson(clips.activation)},
                    {"kv_clip", KvClipToJson(clips)},
                    {"weight_clip", ClipsToJson(clips.weight)}});
  }
  return json;
}

Result<std::vector<LayerClips>> ParseLayerClips(const Json& json, int64_t expected,
                                                const std::string& where) {
  if (!json.is_array() || static_cast<int64_t>(json.size()) != expected) {
    const std::string found = json.is_array() ? fmt::format("has {} layers", json.size())
                                              : "is " + io::DescribeJson(json);
    return MakeError("{} {}, expected {} layers", where, found, expected);
  }
  std::vector<LayerClips> layers(json.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const Status read = ReadLayer(json[i], fmt::format("{}[{}]", where, i), layers[i]);
    if (!read.ok()) return read.error();
  }
  return layers;
}

Result<std::vector<LayerClips>> ParseLayerClipsVersion1(const Json& json, int64_t expected,
                                                        const std::string& where) {
  FieldReader fields(json, where, Missing::kRefuse, {"activation_clip", "kv_clip", "weight_clip"});
  std::vector<LayerClips> layers;
  const auto layer_at = [&](size_t index) -> LayerClips& {
    layers.resize(std::max(layers.size(), index + 1));
    return layers[index];
  };
  ReadTable(fields, "activation_clip", where, expected,
            [&](const Json& row, const std::string& of, size_t layer) {
              std::array<float, kSites1.size()> clips{};
              const Status read = ReadRow(row, of, kMaxClip, clips);
              for (size_t i = 0; i < clips.size(); ++i) {
                layer_at(layer).activation[kSites1[i]] = clips[i];
              }
              return read;
            });
  ReadTable(fields, "kv_clip", where, expected,
            [&](const Json& value, const std::string& of, size_t layer) {
              return ReadClip(value, of, kMaxClip, layer_at(layer).kv);
            });
  ReadTable(fields, "weight_clip", where, expected,
            [&](const Json& row, const std::string& of, size_t layer) {
              std::array<float, kColumns1.size()> clips{};
              const Status read = ReadRow(row, of, kMaxWeightClip, clips);
              for (size_t i = 0; i < clips.size(); ++i) {
                layer_at(layer).weight[kColumns1[i]] = clips[i];
              }
              return read;
            });
  if (!fields.ok()) return fields.status().error();
  return layers;
}

Status CheckClips(const LayerClips& clips, const LayerShape& shape, const std::string& where) {
  Status status = CheckNames(clips.activation, shape.Sites(), "activation_clip", where);
  if (status.ok()) status = CheckNames(clips.weight, shape.linears, "weight_clip", where);
  for (const auto& [name, clip] : clips.activation) {
    if (!status.ok() || name.expert == kNoExpert) continue;
    const float first = clips.activation.at({name.role, 0});
    if (clip == first) continue;
    status =
        MakeError("{}: activation_clip: {} has {} and {} {}, expected one ratio for all experts",
                  where, ToString(SiteName(name.role, 0)), first, ToString(name), clip);
  }
  if (!status.ok() || clips.kv_heads.empty()) return status;
  const auto heads = static_cast<int64_t>(clips.kv_heads.size() / 2);
  if (heads == shape.kv_heads) return {};
  return MakeError("{}: kv_clip has ratios for {} KV heads, expected {}", where, heads,
                   shape.kv_heads);
}

}  // namespace atom::artifact
