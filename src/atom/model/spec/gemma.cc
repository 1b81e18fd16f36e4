#include "atom/model/spec/gemma.h"

#include <array>
#include <cmath>
#include <utility>

#include "atom/core/half.h"
#include "atom/model/spec/config_fields.h"
#include "atom/model/spec/rope_fields.h"

namespace atom::model {
namespace {

using io::Json;
using io::Quote;

// Defaults of Hugging Face's config classes, and where the two families differ.
struct GemmaKind {
  std::string_view architecture;
  int64_t positions;
  int64_t full_attention_every;  // sliding_window_pattern
  bool caps;                     // scores and logits, at 50 and 30 where no field says
  bool head_norms;
  bool local_rope;  // windowed layers have a RoPE of their own
};
constexpr GemmaKind kGemma2 = {"Gemma2ForCausalLM", 8192, 2, true, false, false};
constexpr GemmaKind kGemma3 = {"Gemma3ForCausalLM", 131072, 6, false, true, true};

constexpr int64_t kWindow = 4096;
constexpr double kMaxCap = 1e6;
constexpr double kGlobalTheta = 1e6;
constexpr double kLocalTheta = 1e4;
// Of a family with two: ModelSpec::ropes.
constexpr size_t kGlobalRope = 0;
constexpr size_t kLocalRope = 1;

// sqrt(hidden) as a number of the type that the checkpoint is of, which is how its authors and
// Hugging Face multiply embeddings: bf16 where no field says, as GGUF files do not.
Result<double> EmbeddingScale(const Json& config, const std::string& source, int64_t hidden) {
  ConfigFields fields(config, source);
  const std::optional<std::string> old_name = fields.String("torch_dtype");
  const std::string dtype = fields.String("dtype").value_or(old_name.value_or("bfloat16"));
  if (!fields.status().ok()) return fields.status().error();
  const auto scale = static_cast<float>(std::sqrt(static_cast<double>(hidden)));
  if (dtype == "float32") return double{scale};
  if (dtype == "float16") return double{ToFloat(ToHalf(scale))};
  if (dtype == "bfloat16") return double{ToFloat(ToBFloat16(scale))};
  return MakeError("{}: dtype {} is not known, expected one of float32, float16, bfloat16", source,
                   Quote(dtype));
}

// By layer: whether it has a window. layer_types says, or every `every`-th layer has none.
Result<std::vector<bool>> WindowedLayers(const Json& config, const std::string& source,
                                         int64_t layers, int64_t every) {
  std::vector<bool> windowed;
  const auto types = config.find("layer_types");
  if (types == config.end() || types->is_null()) {
    for (int64_t i = 0; i < layers; ++i) windowed.push_back((i + 1) % every != 0);
    return windowed;
  }
  if (!types->is_array() || std::ssize(*types) != layers) {
    return MakeError("{}: field 'layer_types' is {}, expected a list of {}, one a layer", source,
                     io::DescribeJson(*types), layers);
  }
  for (const Json& type : *types) {
    if (type != "sliding_attention" && type != "full_attention") {
      return MakeError("{}: layer_types holds {}, expected sliding_attention or full_attention",
                       source, io::DescribeJson(type));
    }
    windowed.push_back(type == "sliding_attention");
  }
  return windowed;
}

// One of the two ropes: rope_parameters has an object for each, or the fields of before it.
Result<RopeSpec> ReadRopeOf(const Json& config, const std::string& source, std::string_view layers,
                            Json old_fields, int64_t head_dim) {
  const auto parameters = config.find("rope_parameters");
  if (parameters == config.end() || parameters->is_null()) {
    return ReadRope(old_fields, source, head_dim);
  }
  const std::string where = source + ": rope_parameters";
  const Result<const Json*> own = io::RequireObject(*parameters, layers, where);
  if (!own.ok()) return own.error();
  old_fields.erase("rope_scaling");
  Json fields = **own;
  if (!fields.contains("rope_theta")) fields["rope_theta"] = old_fields["rope_theta"];
  old_fields.erase("rope_theta");
  old_fields["rope_parameters"] = std::move(fields);
  return ReadRope(old_fields, fmt::format("{}: {}", where, layers), head_dim);
}

Result<std::vector<RopeSpec>> ReadRopes(const Json& config, const std::string& source,
                                        const GemmaKind& kind, int64_t head_dim) {
  if (!kind.local_rope) {
    Result<RopeSpec> rope = ReadRope(config, source, head_dim);
    if (!rope.ok()) return rope.error();
    return std::vector<RopeSpec>{*rope};
  }
  ConfigFields fields(config, source);
  const double global_theta = fields.Number("rope_theta", 1.0, kMaxTheta, kGlobalTheta);
  const double local_theta = fields.Number("rope_local_base_freq", 1.0, kMaxTheta, kLocalTheta);
  if (!fields.status().ok()) return fields.status().error();
  const Json context = config.value("max_position_embeddings", Json());  // scalings may need it
  Json global_fields = {{"rope_theta", global_theta}, {"max_position_embeddings", context}};
  if (config.contains("rope_scaling")) global_fields["rope_scaling"] = config["rope_scaling"];
  Result<RopeSpec> global =
      ReadRopeOf(config, source, "full_attention", std::move(global_fields), head_dim);
  if (!global.ok()) return global.error();
  Result<RopeSpec> local =
      ReadRopeOf(config, source, "sliding_attention", {{"rope_theta", local_theta}}, head_dim);
  if (!local.ok()) return local.error();
  return std::vector<RopeSpec>{*global, *local};
}

Status CheckActivation(ConfigFields& fields, const std::string& source) {
  // Old files say gelu in hidden_act and mean what hidden_activation says, or gelu by tanh.
  const std::string name = fields.String("hidden_activation").value_or("gelu_pytorch_tanh");
  if (!fields.status().ok()) return fields.status();
  if (name == "gelu_pytorch_tanh") return {};
  return MakeError("{}: hidden_activation {} is not known, expected 'gelu_pytorch_tanh'", source,
                   Quote(name));
}

Status CheckHeads(const AttentionSpec& attention, const std::string& source) {
  if (attention.head_dim % 2 != 0) {
    return MakeError("{}: head_dim is {}, expected an even number", source, attention.head_dim);
  }
  if (attention.heads % attention.kv_heads != 0) {
    return MakeError("{}: num_attention_heads {} is not a multiple of num_key_value_heads {}",
                     source, attention.heads, attention.kv_heads);
  }
  return CheckRange(attention.q_width(), "num_attention_heads × head_dim", 1, kMaxWidth, source);
}

// A cap that is null is none.
double Cap(const Json& config, ConfigFields& fields, std::string_view key, double absent) {
  return config.contains(key) && config[key].is_null() ? 0.0
                                                       : fields.Number(key, 1e-3, kMaxCap, absent);
}

Result<AttentionSpec> ReadAttention(const Json& config, const std::string& source,
                                    const GemmaKind& kind, const NormSpec& norm) {
  ConfigFields fields(config, source);
  AttentionSpec attention;
  attention.heads = fields.Int("num_attention_heads", 1, kMaxHeads);
  attention.kv_heads = fields.Int("num_key_value_heads", 1, kMaxHeads, 4);
  attention.head_dim = fields.Int("head_dim", 2, kMaxHeadDim, 256);
  attention.score_divisor = std::sqrt(fields.Number("query_pre_attn_scalar", 1e-3, 1e9, 256.0));
  attention.window = fields.Int("sliding_window", 1, INT64_MAX, kWindow);
  attention.softcap = Cap(config, fields, "attn_logit_softcapping", kind.caps ? 50.0 : 0.0);
  if (!kind.caps && attention.softcap != 0.0) {
    fields.Fail(
        MakeError("{}: attn_logit_softcapping is {}, expected null", source, attention.softcap));
  }
  attention.qkv_bias = attention.o_bias = fields.Bool("attention_bias");
  if (fields.Bool("use_bidirectional_attention")) {
    fields.Fail(MakeError("{}: use_bidirectional_attention is true, expected false", source));
  }
  if (!fields.status().ok()) return fields.status().error();
  if (Status s = CheckHeads(attention, source); !s.ok()) return s.error();
  if (kind.head_norms) attention.q_norm = attention.k_norm = norm;
  return attention;
}

TensorNames GemmaNames() {
  TensorNames names;
  names.modules = {{"attention_output_layernorm", {.name = "post_attention_layernorm"}},
                   {"post_attention_layernorm", {.name = "pre_feedforward_layernorm"}},
                   {"mlp_output_layernorm", {.name = "post_feedforward_layernorm"}}};
  return names;
}

Result<ModelSpec> ReadGemma(const Json& config, const std::string& source, const GemmaKind& kind) {
  ConfigFields fields(config, source);
  ModelSpec spec;
  spec.architecture = kind.architecture;
  spec.hidden_size = fields.Int("hidden_size", 1, kMaxWidth);
  spec.vocab_size = fields.Int("vocab_size", 1, kMaxVocabulary);
  spec.max_position_embeddings =
      fields.Int("max_position_embeddings", 1, kMaxPositions, kind.positions);
  const int64_t layers = fields.Int("num_hidden_layers", 1, kMaxLayers);
  const int64_t inner = fields.Int("intermediate_size", 1, kMaxWidth);
  const int64_t every =
      fields.Int("sliding_window_pattern", 1, kMaxLayers, kind.full_attention_every);
  const NormSpec norm{.kind = kernels::NormKind::kRms,
                      .eps = fields.Number("rms_norm_eps", 1e-12, 1.0, 1e-6),
                      .weight_offset = 1.0};
  const bool untied =
      fields.Find("tie_word_embeddings") != nullptr && !fields.Bool("tie_word_embeddings");
  const double cap = Cap(config, fields, "final_logit_softcapping", kind.caps ? 30.0 : 0.0);
  if (Status s = CheckActivation(fields, source); !s.ok()) return s.error();
  if (!fields.status().ok()) return fields.status().error();
  Result<AttentionSpec> attention = ReadAttention(config, source, kind, norm);
  if (!attention.ok()) return attention.error();
  Result<std::vector<bool>> windowed = WindowedLayers(config, source, layers, every);
  if (!windowed.ok()) return windowed.error();
  Result<std::vector<RopeSpec>> ropes = ReadRopes(config, source, kind, attention->head_dim);
  if (!ropes.ok()) return ropes.error();
  const Result<double> scale = EmbeddingScale(config, source, spec.hidden_size);
  if (!scale.ok()) return scale.error();

  LayerSpec layer{
      .input_norm = norm,
      .post_attention_norm = norm,
      .ffn_norm = norm,
      .post_ffn_norm = norm,
      .attention = *attention,
      .ffn = {.gated = true, .activation = kernels::ActivationFunction::kGeluTanh, .inner = inner}};
  for (const bool has_window : *windowed) {
    layer.attention.window = has_window ? attention->window : 0;
    layer.attention.rope = has_window && kind.local_rope ? kLocalRope : kGlobalRope;
    spec.layers.push_back(layer);
  }
  spec.ropes = *std::move(ropes);
  spec.embedding.scale = *scale;
  spec.head = {.norm = norm, .tied = !untied, .softcap = cap};
  spec.names = GemmaNames();
  return spec;
}

}  // namespace

Result<ModelSpec> ReadGemma2(const Json& config, const std::string& source) {
  return ReadGemma(config, source, kGemma2);
}

Result<ModelSpec> ReadGemma3(const Json& config, const std::string& source) {
  return ReadGemma(config, source, kGemma3);
}

}  // namespace atom::model
