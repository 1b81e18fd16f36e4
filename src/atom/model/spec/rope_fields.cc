#include "atom/model/spec/rope_fields.h"

#include <array>

#include "atom/model/spec/config_fields.h"

namespace atom::model {
namespace {

using io::Json;
using io::Quote;

struct RopeType {
  std::string_view name;
  RopeScaling::Kind kind;
};
constexpr std::array kRopeTypes = {
    RopeType{"default", RopeScaling::Kind::kNone},
    RopeType{"linear", RopeScaling::Kind::kLinear},
    RopeType{"llama3", RopeScaling::Kind::kLlama3},
};

// `rope` is rope_parameters, rope_scaling or an empty object.
Result<RopeScaling> ReadRopeScaling(const Json& rope, const std::string& source) {
  ConfigFields fields(rope, source);
  const std::optional<std::string> old_name = fields.String("type");
  const std::optional<std::string> new_name = fields.String("rope_type");
  if (!fields.status().ok()) return fields.status().error();
  if (old_name && new_name && *old_name != *new_name) {
    return MakeError("{}: type {} and rope_type {} contradict each other", source, Quote(*old_name),
                     Quote(*new_name));
  }
  const std::string name = new_name.value_or(old_name.value_or("default"));
  Result<RopeType> type = FindRow(kRopeTypes, &RopeType::name, name, "RoPE type", source);
  if (!type.ok()) return type.error();

  RopeScaling scaling;
  scaling.kind = type->kind;
  fields.Number("partial_rotary_factor", 1.0, 1.0, 1.0);  // only whole heads are rotated
  if (scaling.kind != RopeScaling::Kind::kNone)
    scaling.factor = fields.Number("factor", 1, kMaxFactor);
  if (scaling.kind == RopeScaling::Kind::kLlama3) {
    scaling.low_freq_factor = fields.Number("low_freq_factor", 1e-6, kMaxFactor);
    scaling.high_freq_factor = fields.Number("high_freq_factor", 1e-6, kMaxFactor);
    scaling.original_max_position =
        fields.Int("original_max_position_embeddings", 1, kMaxPositions);
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      fields.Fail(MakeError("{}: high_freq_factor {} must be above low_freq_factor {}", source,
                            scaling.high_freq_factor, scaling.low_freq_factor));
    }
  }
  if (!fields.status().ok()) return fields.status().error();
  return scaling;
}

}  // namespace

Result<RopeSpec> ReadRope(const Json& config, const std::string& source, int64_t head_dim) {
  RopeSpec spec{.scaling = {}, .rotary_dim = head_dim};
  constexpr double kDefaultTheta = 10000.0;
  ConfigFields fields(config, source);
  const Json* parameters = fields.Object("rope_parameters");
  const Json* scaling = fields.Object("rope_scaling");
  spec.theta = fields.Number("rope_theta", 1.0, kMaxTheta, kDefaultTheta);
  fields.Number("partial_rotary_factor", 1.0, 1.0, 1.0);
  if (!fields.status().ok()) return fields.status().error();
  if (scaling != nullptr) {
    Result<RopeScaling> read = ReadRopeScaling(*scaling, source + ": rope_scaling");
    if (!read.ok()) return read.error();
    spec.scaling = *read;
  }
  if (parameters == nullptr) return spec;

  const std::string where = source + ": rope_parameters";
  ConfigFields inner(*parameters, where);
  const double theta = inner.Number("rope_theta", 1.0, kMaxTheta, spec.theta);
  if (!inner.status().ok()) return inner.status().error();
  Result<RopeScaling> read = ReadRopeScaling(*parameters, where);
  if (!read.ok()) return read.error();
  const bool old_theta = config.contains("rope_theta") && !config["rope_theta"].is_null();
  if (old_theta && theta != spec.theta) {
    return MakeError("{}: rope_theta is {} here and {} outside, expected the same", where, theta,
                     spec.theta);
  }
  if (scaling != nullptr && *read != spec.scaling) {
    return MakeError("{}: contradicts rope_scaling, expected the same type and factors", where);
  }
  spec.theta = theta;
  spec.scaling = *read;
  return spec;
}

}  // namespace atom::model
