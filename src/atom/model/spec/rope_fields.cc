#include "atom/model/spec/rope_fields.h"

#include <algorithm>
#include <array>
#include <cmath>

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
    RopeType{"dynamic", RopeScaling::Kind::kDynamic},
    RopeType{"yarn", RopeScaling::Kind::kYarn},
    RopeType{"longrope", RopeScaling::Kind::kLongRope},
    RopeType{"su", RopeScaling::Kind::kLongRope},  // its first name
};

/// The object with the scaling's fields, and what it needs from around it.
struct Surroundings {
  const Json& config;
  int64_t head_dim = 0;
  const RopeRules& rules;
};

Result<RopeScaling::Kind> ReadKind(ConfigFields& fields, const RopeRules& rules,
                                   const std::string& source) {
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
  const bool renamed = rules.yarn_is_longrope && type->kind == RopeScaling::Kind::kYarn;
  return renamed ? RopeScaling::Kind::kLongRope : type->kind;
}

void ReadLlama3(ConfigFields& fields, const std::string& source, RopeScaling& scaling) {
  scaling.factor = fields.Number("factor", 1, kMaxFactor);
  scaling.low_freq_factor = fields.Number("low_freq_factor", 1e-6, kMaxFactor);
  scaling.high_freq_factor = fields.Number("high_freq_factor", 1e-6, kMaxFactor);
  scaling.original_max_position = fields.Int("original_max_position_embeddings", 1, kMaxPositions);
  if (scaling.high_freq_factor <= scaling.low_freq_factor) {
    fields.Fail(MakeError("{}: high_freq_factor {} must be above low_freq_factor {}", source,
                          scaling.high_freq_factor, scaling.low_freq_factor));
  }
}

// As transformers has it: that of the model goes before that of its scaling.
int64_t OriginalContext(ConfigFields& outside, ConfigFields& fields, int64_t max_positions) {
  const int64_t inside =
      fields.Int("original_max_position_embeddings", 2, kMaxPositions, max_positions);
  return outside.Int("original_max_position_embeddings", 2, kMaxPositions, inside);
}

// YaRN (Peng et al., 2023): its attention factor is 0.1 ln(factor) + 1, or the ratio of two such.
void ReadYarn(ConfigFields& fields, RopeScaling& scaling) {
  scaling.factor = fields.Number("factor", 1, kMaxFactor);
  const double mscale = fields.Number("mscale", 0.0, kMaxFactor, 0.0);
  const double mscale_all = fields.Number("mscale_all_dim", 0.0, kMaxFactor, 0.0);
  const auto factor_of = [&scaling](double by) {
    return 0.1 * by * std::log(scaling.factor) + 1.0;
  };
  const bool both = mscale > 0.0 && mscale_all > 0.0;
  scaling.attention_factor =
      fields.Number("attention_factor", 1e-6, kMaxFactor,
                    both ? factor_of(mscale) / factor_of(mscale_all) : factor_of(1.0));
  scaling.beta_fast = fields.Number("beta_fast", 1e-6, kMaxFactor, 32.0);
  scaling.beta_slow = fields.Number("beta_slow", 1e-6, kMaxFactor, 1.0);
  scaling.truncate = fields.io::FieldReader::Bool("truncate").value_or(true);
}

std::vector<double> ReadFactors(ConfigFields& fields, std::string_view key, int64_t count) {
  const Json* list = fields.Array(key);
  if (list == nullptr) {
    fields.Complain({.key = std::string(key), .expected = "a list of numbers", .found = "missing"});
    return {};
  }
  std::vector<double> factors;
  for (const Json& value : *list) {
    if (!value.is_number() || value <= 0.0 || value > kMaxFactor) break;
    factors.push_back(value.get<double>());
  }
  if (std::ssize(factors) != std::ssize(*list) || std::ssize(factors) != count) {
    fields.RefuseValue(key, fmt::format("a list of {} numbers above 0", count));
  }
  return factors;
}

// LongRoPE (Ding et al., 2024).
void ReadLongRope(ConfigFields& fields, int64_t pairs, int64_t max_positions,
                  RopeScaling& scaling) {
  scaling.short_factors = ReadFactors(fields, "short_factor", pairs);
  scaling.long_factors = ReadFactors(fields, "long_factor", pairs);
  const auto original = static_cast<double>(scaling.original_max_position);
  const double ratio = static_cast<double>(max_positions) / original;
  scaling.factor = fields.Number("factor", 1.0, kMaxFactor, std::max(1.0, ratio));
  scaling.attention_factor =
      fields.Number("attention_factor", 1e-6, kMaxFactor,
                    std::sqrt(1.0 + std::log(scaling.factor) / std::log(original)));
}

/// Channels of a head that are rotated: its own factor goes before that of the config.
int64_t RotaryDim(ConfigFields& fields, const std::string& source, const Surroundings& around,
                  double outside) {
  const double least = around.rules.partial ? 0.01 : 1.0;
  const double factor = fields.Number("partial_rotary_factor", least, 1.0, outside);
  const auto dim = static_cast<int64_t>(static_cast<double>(around.head_dim) * factor);
  if (dim < 2 || dim % 2 != 0) {
    // Perhaps it stands outside of `fields`.
    fields.Fail(
        MakeError("{}: partial_rotary_factor {} rotates {} channels, expected an even number "
                  "of the {} channels of a head",
                  source, factor, dim, around.head_dim));
  }
  return dim;
}

// `rope` is rope_parameters, rope_scaling or an empty object.
Result<RopeSpec> ReadScaled(const Json& rope, const std::string& source,
                            const Surroundings& around) {
  for (const auto& [key, value] : rope.items()) {
    if (!value.is_object()) continue;
    return MakeError("{}: field {} is an object, expected one RoPE for all layers", source,
                     Quote(key));
  }
  ConfigFields fields(rope, source);
  Result<RopeScaling::Kind> kind = ReadKind(fields, around.rules, source);
  if (!kind.ok()) return kind.error();
  ConfigFields outside(around.config, source);
  const double part = outside.Number("partial_rotary_factor", 0.0, 1.0, 1.0);
  RopeSpec spec{.scaling = {}, .rotary_dim = RotaryDim(fields, source, around, part)};
  RopeScaling& scaling = spec.scaling;
  scaling.kind = *kind;
  const int64_t max_positions = outside.Int("max_position_embeddings", 1, kMaxPositions, 2048);
  switch (*kind) {
    case RopeScaling::Kind::kNone:
      break;
    case RopeScaling::Kind::kLinear:
      scaling.factor = fields.Number("factor", 1, kMaxFactor);
      break;
    case RopeScaling::Kind::kLlama3:
      ReadLlama3(fields, source, scaling);
      break;
    case RopeScaling::Kind::kDynamic:
      scaling.factor = fields.Number("factor", 1, kMaxFactor);
      scaling.original_max_position = max_positions;
      break;
    case RopeScaling::Kind::kYarn:
      scaling.original_max_position = OriginalContext(outside, fields, max_positions);
      ReadYarn(fields, scaling);
      break;
    case RopeScaling::Kind::kLongRope:
      scaling.original_max_position = OriginalContext(outside, fields, max_positions);
      ReadLongRope(fields, spec.rotary_dim / 2, max_positions, scaling);
      break;
  }
  if (!outside.status().ok()) return outside.status().error();
  if (!fields.status().ok()) return fields.status().error();
  if (*kind == RopeScaling::Kind::kDynamic && spec.rotary_dim < 4) {
    return MakeError("{}: {} rotated channels of a head, expected at least 4 with type 'dynamic'",
                     source, spec.rotary_dim);
  }
  return spec;
}

}  // namespace

Result<RopeSpec> ReadRope(const Json& config, const std::string& source, int64_t head_dim,
                          const RopeRules& rules) {
  constexpr double kDefaultTheta = 10000.0;
  const Surroundings around{.config = config, .head_dim = head_dim, .rules = rules};
  ConfigFields fields(config, source);
  const Json* parameters = fields.Object("rope_parameters");
  const Json* scaling = fields.Object("rope_scaling");
  const double theta = fields.Number("rope_theta", 1.0, kMaxTheta, kDefaultTheta);
  fields.Number("partial_rotary_factor", rules.partial ? 0.01 : 1.0, 1.0, 1.0);
  if (!fields.status().ok()) return fields.status().error();
  const Json none = Json::object();
  Result<RopeSpec> old =
      ReadScaled(scaling != nullptr ? *scaling : none,
                 scaling != nullptr ? source + ": rope_scaling" : source, around);
  if (!old.ok()) return old.error();
  old->theta = theta;
  if (parameters == nullptr) return old;

  const std::string where = source + ": rope_parameters";
  ConfigFields inner(*parameters, where);
  const double inner_theta = inner.Number("rope_theta", 1.0, kMaxTheta, theta);
  if (!inner.status().ok()) return inner.status().error();
  Result<RopeSpec> read = ReadScaled(*parameters, where, around);
  if (!read.ok()) return read.error();
  const bool old_theta = config.contains("rope_theta") && !config["rope_theta"].is_null();
  if (old_theta && inner_theta != theta) {
    return MakeError("{}: rope_theta is {} here and {} outside, expected the same", where,
                     inner_theta, theta);
  }
  if (scaling != nullptr && read->scaling != old->scaling) {
    return MakeError("{}: contradicts rope_scaling, expected the same type and factors", where);
  }
  read->theta = inner_theta;
  return read;
}

int64_t ContextOf(const RopeSpec& rope, int64_t max_positions) {
  const RopeScaling& scaling = rope.scaling;
  const bool reaches =
      scaling.kind == RopeScaling::Kind::kYarn || scaling.kind == RopeScaling::Kind::kDynamic;
  if (!reaches) return max_positions;
  const double context = static_cast<double>(scaling.original_max_position) * scaling.factor;
  return std::max(max_positions,
                  static_cast<int64_t>(std::min(context, static_cast<double>(kMaxPositions))));
}

}  // namespace atom::model
