#include "atom/model/model_config.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

#include "atom/io/quote.h"

namespace atom::model {
namespace {

using io::Json;
using io::Quote;

// Far above every published model, and small enough for products of any three in int64.
constexpr int64_t kMaxWidth = int64_t{1} << 20;  // hidden, intermediate, heads × head_dim
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxVocabulary = int64_t{1} << 22;
constexpr int64_t kMaxPositions = int64_t{1} << 27;
constexpr double kMaxTheta = 1e12;
constexpr double kMaxFactor = 1e6;

// What differs between the architectures; defaults are those of Hugging Face's config classes.
struct Architecture {
  std::string_view name;
  std::string_view model_type;
  int64_t default_max_positions;
  bool sliding_window;  // the field exists; a window is not computed here, absent means none
};
constexpr std::array kArchitectures = {
    Architecture{"LlamaForCausalLM", "llama", 2048, false},
    Architecture{"MistralForCausalLM", "mistral", 131072, true},
};

struct RopeType {
  std::string_view name;
  RopeScaling::Kind kind;
};
constexpr std::array kRopeTypes = {
    RopeType{"default", RopeScaling::Kind::kNone},
    RopeType{"linear", RopeScaling::Kind::kLinear},
    RopeType{"llama3", RopeScaling::Kind::kLlama3},
};

// The row of a table whose `field` is `value`, or a refusal that lists what the table holds.
template <class Table>
Result<typename Table::value_type> FindRow(const Table& table,
                                           std::string_view Table::value_type::*field,
                                           std::string_view value, std::string_view what,
                                           const std::string& source) {
  std::string known;
  for (const auto& row : table) {
    if (row.*field == value) return row;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.*field);
  }
  return MakeError("{}: {} {} is not known, expected one of {}", source, what, Quote(value), known);
}

Status CheckRange(int64_t value, std::string_view field, int64_t least, int64_t most,
                  const std::string& source) {
  if (value >= least && value <= most) return {};
  return MakeError("{}: field '{}' is {}, expected {} to {}", source, field, value, least, most);
}

Status CheckRange(double value, std::string_view field, double least, double most,
                  const std::string& source) {
  if (value >= least && value <= most) return {};
  return MakeError("{}: field '{}' is {}, expected {} to {}", source, field, value, least, most);
}

// Reads fields one after the other and keeps the first complaint; the values after it are those
// given as a default.
class FieldReader {
 public:
  FieldReader(const Json& object, const std::string& source) : object_(object), source_(source) {}

  int64_t Int(std::string_view key, int64_t least, int64_t most) {
    return InRange(Keep(io::RequireInt(object_, key, source_), least), key, least, most);
  }
  int64_t Int(std::string_view key, int64_t least, int64_t most, int64_t absent) {
    return InRange(Keep(io::OptionalInt(object_, key, source_), {}).value_or(absent), key, least,
                   most);
  }
  double Number(std::string_view key, double least, double most) {
    return InRange(Keep(io::RequireNumber(object_, key, source_), least), key, least, most);
  }
  double Number(std::string_view key, double least, double most, double absent) {
    return InRange(Keep(io::OptionalNumber(object_, key, source_), {}).value_or(absent), key, least,
                   most);
  }
  bool Bool(std::string_view key) {
    return Keep(io::OptionalBool(object_, key, source_), {}).value_or(false);
  }
  std::optional<std::string> String(std::string_view key) {
    return Keep(io::OptionalString(object_, key, source_), {});
  }
  const Json* Object(std::string_view key) {
    return Keep(io::OptionalObject(object_, key, source_), nullptr);
  }

  /// Keeps `status` if it is the first complaint.
  void Add(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const Status& status() const { return status_; }

 private:
  template <class T>
  T Keep(Result<T> field, std::type_identity_t<T> failed) {
    if (field.ok()) return *std::move(field);
    Add(field.error());
    return failed;
  }
  template <class T>
  T InRange(T value, std::string_view key, T least, T most) {
    Add(CheckRange(value, key, least, most, source_));
    return value;
  }

  const Json& object_;
  const std::string& source_;
  Status status_;
};

Result<Architecture> ReadArchitecture(const Json& config, const std::string& source) {
  FieldReader fields(config, source);
  const std::optional<std::string> model_type = fields.String("model_type");
  if (!fields.status().ok()) return fields.status().error();
  const auto list = config.find("architectures");
  if (list == config.end() || list->is_null()) {
    return FindRow(kArchitectures, &Architecture::model_type, model_type.value_or(""), "model_type",
                   source);
  }
  if (!list->is_array() || list->size() != 1 || !list->front().is_string()) {
    return MakeError(
        "{}: field 'architectures' is {}, expected a list of one string", source,
        list->is_array() ? fmt::format("a list of {}", list->size()) : io::DescribeJson(*list));
  }
  Result<Architecture> found =
      FindRow(kArchitectures, &Architecture::name, list->front().get_ref<const std::string&>(),
              "architecture", source);
  if (found.ok() && model_type && *model_type != found->model_type) {
    return MakeError("{}: architecture {} and model_type {} contradict each other, expected {}",
                     source, found->name, Quote(*model_type), Quote(found->model_type));
  }
  return found;
}

// `rope` is rope_parameters, rope_scaling or an empty object.
Result<RopeScaling> ReadRopeScaling(const Json& rope, const std::string& source) {
  FieldReader fields(rope, source);
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
      fields.Add(MakeError("{}: high_freq_factor {} must be above low_freq_factor {}", source,
                           scaling.high_freq_factor, scaling.low_freq_factor));
    }
  }
  if (!fields.status().ok()) return fields.status().error();
  return scaling;
}

// Old: rope_theta and rope_scaling beside each other. New: all in rope_parameters. Both may be
// there, if they agree.
Status ReadRope(const Json& config, const std::string& source, ModelConfig* model) {
  constexpr double kDefaultTheta = 10000.0;
  FieldReader fields(config, source);
  const Json* parameters = fields.Object("rope_parameters");
  const Json* scaling = fields.Object("rope_scaling");
  model->rope_theta = fields.Number("rope_theta", 1.0, kMaxTheta, kDefaultTheta);
  fields.Number("partial_rotary_factor", 1.0, 1.0, 1.0);
  if (!fields.status().ok()) return fields.status();
  if (scaling != nullptr) {
    Result<RopeScaling> read = ReadRopeScaling(*scaling, source + ": rope_scaling");
    if (!read.ok()) return read.error();
    model->rope_scaling = *read;
  }
  if (parameters == nullptr) return {};

  const std::string where = source + ": rope_parameters";
  FieldReader inner(*parameters, where);
  const double theta = inner.Number("rope_theta", 1.0, kMaxTheta, model->rope_theta);
  if (!inner.status().ok()) return inner.status();
  Result<RopeScaling> read = ReadRopeScaling(*parameters, where);
  if (!read.ok()) return read.error();
  const bool old_theta = config.contains("rope_theta") && !config["rope_theta"].is_null();
  if (old_theta && theta != model->rope_theta) {
    return MakeError("{}: rope_theta is {} here and {} outside, expected the same", where, theta,
                     model->rope_theta);
  }
  if (scaling != nullptr && *read != model->rope_scaling) {
    return MakeError("{}: contradicts rope_scaling, expected the same type and factors", where);
  }
  model->rope_theta = theta;
  model->rope_scaling = *read;
  return {};
}

// What would change the function that the model computes and is not implemented.
Status RefuseUnknown(const Json& config, const std::string& source, const Architecture& known,
                     int64_t max_positions) {
  FieldReader fields(config, source);
  const std::string act = fields.String("hidden_act").value_or("silu");
  if (act != "silu") {
    fields.Add(MakeError("{}: hidden_act {} is not known, expected 'silu'", source, Quote(act)));
  }
  if (known.sliding_window) {
    const int64_t window = fields.Int("sliding_window", 0, INT64_MAX, max_positions);
    if (window < max_positions) {
      fields.Add(
          MakeError("{}: sliding_window is {}, expected null or at least "
                    "max_position_embeddings = {}: windowed attention is not known",
                    source, window, max_positions));
    }
  }
  const Json* quantization = fields.Object("quantization_config");
  if (quantization != nullptr && fields.status().ok()) {
    const std::string where = source + ": quantization_config";
    Result<std::string> method = io::RequireString(*quantization, "quant_method", where);
    if (!method.ok()) return method.error();
    if (*method != "atom") {
      return MakeError(
          "{}: quant_method {} is not known, expected an unquantized checkpoint or "
          "'atom'",
          where, Quote(*method));
    }
  }
  return fields.status();
}

Result<int32_t> TokenId(const Json& value, std::string_view field, int64_t vocab_size,
                        const std::string& source) {
  const bool fits = value.is_number_integer() && value >= 0 && value < vocab_size;
  if (fits) return value.get<int32_t>();
  return MakeError("{}: field '{}' holds {}, expected a token id from 0 to {}", source, field,
                   io::DescribeJson(value), vocab_size - 1);
}

Status ReadSpecialTokens(const Json& config, const std::string& source, ModelConfig* model) {
  const auto bos = config.find("bos_token_id");
  if (bos != config.end() && !bos->is_null()) {
    Result<int32_t> id = TokenId(*bos, "bos_token_id", model->vocab_size, source);
    if (!id.ok()) return id.error();
    model->bos_token_id = *id;
  }
  const auto eos = config.find("eos_token_id");
  if (eos == config.end() || eos->is_null()) return {};
  const Json list = eos->is_array() ? *eos : Json::array({*eos});  // one id, or several
  for (const Json& value : list) {
    Result<int32_t> id = TokenId(value, "eos_token_id", model->vocab_size, source);
    if (!id.ok()) return id.error();
    model->eos_token_ids.push_back(*id);
  }
  return {};
}

Status ReadShape(const Json& config, const std::string& source, const Architecture& known,
                 ModelConfig* model) {
  FieldReader fields(config, source);
  model->hidden_size = fields.Int("hidden_size", 1, kMaxWidth);
  model->intermediate_size = fields.Int("intermediate_size", 1, kMaxWidth);
  model->num_layers = fields.Int("num_hidden_layers", 1, kMaxLayers);
  model->num_heads = fields.Int("num_attention_heads", 1, kMaxHeads);
  if (!fields.status().ok()) return fields.status();
  model->num_kv_heads = fields.Int("num_key_value_heads", 1, model->num_heads, model->num_heads);
  model->head_dim = fields.Int("head_dim", 2, kMaxHeadDim, model->hidden_size / model->num_heads);
  model->vocab_size = fields.Int("vocab_size", 1, kMaxVocabulary);
  model->max_position_embeddings =
      fields.Int("max_position_embeddings", 1, kMaxPositions, known.default_max_positions);
  model->rms_norm_eps = fields.Number("rms_norm_eps", 1e-12, 1.0, 1e-6);
  model->tie_word_embeddings = fields.Bool("tie_word_embeddings");
  model->attention_bias = fields.Bool("attention_bias");
  model->mlp_bias = fields.Bool("mlp_bias");
  if (!fields.status().ok()) return fields.status();

  const bool derived = !config.contains("head_dim") || config["head_dim"].is_null();
  if (derived && model->hidden_size % model->num_heads != 0) {
    return MakeError(
        "{}: hidden_size {} is not a multiple of num_attention_heads {}, and there is "
        "no head_dim",
        source, model->hidden_size, model->num_heads);
  }
  if (model->head_dim % 2 != 0) {
    return MakeError("{}: head_dim is {}, expected an even number", source, model->head_dim);
  }
  if (model->num_heads % model->num_kv_heads != 0) {
    return MakeError("{}: num_attention_heads {} is not a multiple of num_key_value_heads {}",
                     source, model->num_heads, model->num_kv_heads);
  }
  return CheckRange(model->num_heads * model->head_dim, "num_attention_heads × head_dim", 1,
                    kMaxWidth, source);
}

}  // namespace

Result<ModelConfig> ParseModelConfig(const Json& config, const std::string& source) {
  if (!config.is_object()) {
    return MakeError("{}: expected an object, found {}", source, io::DescribeJson(config));
  }
  Result<Architecture> known = ReadArchitecture(config, source);
  if (!known.ok()) return known.error();
  ModelConfig model;
  model.architecture = std::string(known->name);
  if (Status s = ReadShape(config, source, *known, &model); !s.ok()) return s.error();
  if (Status s = ReadRope(config, source, &model); !s.ok()) return s.error();
  if (Status s = RefuseUnknown(config, source, *known, model.max_position_embeddings); !s.ok()) {
    return s.error();
  }
  if (Status s = ReadSpecialTokens(config, source, &model); !s.ok()) return s.error();
  return model;
}

}  // namespace atom::model
