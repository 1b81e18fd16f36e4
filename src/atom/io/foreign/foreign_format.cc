#include "atom/io/foreign/foreign_format.h"

#include <algorithm>
#include <array>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "atom/io/field_reader.h"

namespace atom::io {
namespace {

using Missing = FieldReader::Missing;

constexpr std::string_view kPackQuantized = "pack-quantized";

void RequireThere(FieldReader& fields, std::string_view key) {
  if (fields.Find(key) == nullptr) {
    fields.Complain({.key = std::string(key), .found = "missing"});
  }
}

// The value of a field that only ever has one: others say what cannot be read.
void RequireOnly(FieldReader& fields, std::string_view key, std::string_view only) {
  const std::optional<std::string> found = fields.String(key);
  if (found && *found != only) fields.RefuseValue(key, fmt::format("'{}'", only));
}

// A field that would change what the tensors mean, were it more than nothing: {} and [] are that.
void RequireNothing(FieldReader& fields, std::string_view key) {
  const Json* found = fields.Find(key);
  if (found == nullptr) return;
  const bool off = found->is_boolean() && !found->get<bool>();
  if (!off && !(found->is_structured() && found->empty())) fields.RefuseValue(key, "nothing");
}

void ReadBits(FieldReader& fields, std::string_view key, std::initializer_list<int> known,
              int& bits) {
  const std::optional<int64_t> found = fields.Int(key);
  if (!found) return;
  if (std::find(known.begin(), known.end(), *found) == known.end()) {
    fields.RefuseValue(key, fmt::format("{}", fmt::join(known, " or ")));
    return;
  }
  bits = static_cast<int>(*found);
}

// −1 stands for one group a row.
void ReadGroup(FieldReader& fields, std::string_view key, int64_t& group) {
  const std::optional<int64_t> found = fields.Int(key, {.least = -1});
  if (!found) return;
  if (*found == 0) fields.RefuseValue(key, "-1 or a number of inputs");
  group = std::max<int64_t>(*found, 0);
}

Status ReadGptq(const Json& json, const std::string& where, ForeignFormat& format) {
  FieldReader fields(json, where, Missing::kKeep);
  ForeignScheme& scheme = format.schemes.emplace_back();
  ReadBits(fields, "bits", {4, 8}, scheme.bits);
  ReadGroup(fields, "group_size", scheme.group);
  RequireThere(fields, "bits");
  std::string version = "gptq";
  for (const std::string_view key : {"format", "checkpoint_format"}) {
    fields.String(key, version);
    if (version != "gptq" && version != "gptq_v2") fields.RefuseValue(key, "'gptq' or 'gptq_v2'");
  }
  format.zeros_minus_one = version == "gptq";
  RequireOnly(fields, "pack_dtype", "int32");
  RequireNothing(fields, "rotation");
  RequireNothing(fields, "adapter");
  return fields.status();
}

Status ReadAwq(const Json& json, const std::string& where, ForeignFormat& format) {
  FieldReader fields(json, where, Missing::kKeep);
  ForeignScheme& scheme = format.schemes.emplace_back();
  scheme.group = 128;
  ReadBits(fields, "bits", {4}, scheme.bits);
  ReadGroup(fields, "group_size", scheme.group);
  for (const std::string_view key : {"version", "format"}) {
    const std::optional<std::string> version = fields.String(key);
    if (version && *version != "gemm" && *version != "GEMM") fields.RefuseValue(key, "'gemm'");
  }
  RequireOnly(fields, "pack_dtype", "int32");
  return fields.status();
}

Status ReadWeights(const Json& json, const std::string& where, ForeignScheme& scheme) {
  FieldReader fields(json, where, Missing::kRefuse);
  ReadBits(fields, "num_bits", {4, 8}, scheme.bits);
  fields.Bool("symmetric", scheme.symmetric);
  RequireOnly(fields, "type", "int");
  const std::optional<std::string> strategy = fields.String("strategy");
  if (strategy == "group") {
    const auto group = fields.Int("group_size", {.least = 1});
    scheme.group = group.value_or(0);
  } else if (strategy != "channel" && fields.ok()) {
    fields.RefuseValue("strategy", "'group' or 'channel'");
  }
  return fields.status();
}

Status ReadConfigGroup(const Json& json, const std::string& where, ForeignFormat& format) {
  FieldReader fields(json, where, Missing::kKeep);
  RequireOnly(fields, "format", kPackQuantized);
  RequireNothing(fields, "input_activations");
  RequireNothing(fields, "output_activations");
  const Json* weights = fields.Object("weights");
  RequireThere(fields, "weights");
  if (!fields.ok()) return fields.status();
  return ReadWeights(*weights, where + ": weights", format.schemes.emplace_back());
}

bool IsDense(const Json& sparsity) {
  return sparsity.is_object() && (sparsity.empty() || sparsity.value("format", Json()) == "dense");
}

Status ReadCompressedTensors(const Json& json, const std::string& where, ForeignFormat& format) {
  FieldReader fields(json, where, Missing::kKeep);
  RequireOnly(fields, "format", kPackQuantized);
  RequireNothing(fields, "kv_cache_scheme");
  if (const Json* sparse = fields.Find("sparsity_config"); sparse != nullptr && !IsDense(*sparse)) {
    fields.RefuseValue("sparsity_config", "nothing");
  }
  RequireNothing(fields, "transform_config");
  const Json* groups = fields.Object("config_groups");
  RequireThere(fields, "config_groups");
  if (!fields.ok()) return fields.status();
  if (groups->empty()) return MakeError("{}: config_groups: expected a group, found none", where);
  for (const auto& [name, group] : groups->items()) {
    const std::string place = fmt::format("{}: config_groups: {}", where, name);
    if (Status status = ReadConfigGroup(group, place, format); !status.ok()) return status;
  }
  return {};
}

struct Row {
  ForeignMethod method;
  std::string_view name;
  Status (*read)(const Json& json, const std::string& where, ForeignFormat& format);
};
constexpr std::array kMethods = {
    Row{ForeignMethod::kGptq, "gptq", ReadGptq},
    Row{ForeignMethod::kAwq, "awq", ReadAwq},
    Row{ForeignMethod::kCompressedTensors, "compressed-tensors", ReadCompressedTensors},
};

const Row* FindRow(std::string_view name) {
  const auto row = std::find_if(kMethods.begin(), kMethods.end(),
                                [&](const Row& candidate) { return candidate.name == name; });
  return row == kMethods.end() ? nullptr : &*row;
}

}  // namespace

std::string_view Name(ForeignMethod method) {
  for (const Row& row : kMethods) {
    if (row.method == method) return row.name;
  }
  ATOM_CHECK(false, "method {}", static_cast<int>(method));
}

std::optional<ForeignMethod> ForeignMethodFromName(std::string_view name) {
  const Row* row = FindRow(name);
  return row == nullptr ? std::nullopt : std::optional(row->method);
}

std::string ForeignMethodNames() {
  std::string names;
  for (const Row& row : kMethods) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

Result<std::optional<ForeignFormat>> ReadForeignFormat(const Json& config,
                                                       const std::string& source) {
  const auto found = config.find("quantization_config");
  if (found == config.end() || !found->is_object()) return std::optional<ForeignFormat>();
  const auto method = found->find("quant_method");
  if (method == found->end() || !method->is_string()) return std::optional<ForeignFormat>();
  const Row* row = FindRow(method->get_ref<const std::string&>());
  if (row == nullptr) return std::optional<ForeignFormat>();
  ForeignFormat format{.method = row->method, .schemes = {}};
  const std::string where = fmt::format("{}: quantization_config: {}", source, row->name);
  if (Status status = row->read(*found, where, format); !status.ok()) return status.error();
  return std::optional(std::move(format));
}

}  // namespace atom::io
