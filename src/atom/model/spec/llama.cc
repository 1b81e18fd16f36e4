#include "atom/model/spec/llama.h"

#include "atom/model/spec/config_fields.h"
#include "atom/model/spec/rope_fields.h"

namespace atom::model {
namespace {

using io::Json;

// Defaults of Hugging Face's config classes.
constexpr int64_t kLlamaPositions = 2048;
constexpr int64_t kMistralPositions = 131072;

Status CheckHeads(const Json& config, const std::string& source, const LlamaShape& shape) {
  const bool derived = !config.contains("head_dim") || config["head_dim"].is_null();
  if (derived && shape.hidden_size % shape.num_heads != 0) {
    return MakeError(
        "{}: hidden_size {} is not a multiple of num_attention_heads {}, and there is "
        "no head_dim",
        source, shape.hidden_size, shape.num_heads);
  }
  if (shape.head_dim % 2 != 0) {
    return MakeError("{}: head_dim is {}, expected an even number", source, shape.head_dim);
  }
  if (shape.num_heads % shape.num_kv_heads != 0) {
    return MakeError("{}: num_attention_heads {} is not a multiple of num_key_value_heads {}",
                     source, shape.num_heads, shape.num_kv_heads);
  }
  return CheckRange(shape.num_heads * shape.head_dim, "num_attention_heads × head_dim", 1,
                    kMaxWidth, source);
}

Result<LlamaShape> ReadShape(const Json& config, const std::string& source,
                             int64_t default_positions) {
  ConfigFields fields(config, source);
  LlamaShape shape;
  shape.hidden_size = fields.Int("hidden_size", 1, kMaxWidth);
  shape.intermediate_size = fields.Int("intermediate_size", 1, kMaxWidth);
  shape.num_layers = fields.Int("num_hidden_layers", 1, kMaxLayers);
  shape.num_heads = fields.Int("num_attention_heads", 1, kMaxHeads);
  if (!fields.status().ok()) return fields.status().error();
  shape.num_kv_heads = fields.Int("num_key_value_heads", 1, shape.num_heads, shape.num_heads);
  shape.head_dim = fields.Int("head_dim", 2, kMaxHeadDim, shape.hidden_size / shape.num_heads);
  shape.vocab_size = fields.Int("vocab_size", 1, kMaxVocabulary);
  shape.max_position_embeddings =
      fields.Int("max_position_embeddings", 1, kMaxPositions, default_positions);
  shape.rms_norm_eps = fields.Number("rms_norm_eps", 1e-12, 1.0, 1e-6);
  shape.tie_word_embeddings = fields.Bool("tie_word_embeddings");
  shape.attention_bias = fields.Bool("attention_bias");
  shape.mlp_bias = fields.Bool("mlp_bias");
  if (!fields.status().ok()) return fields.status().error();
  if (Status s = CheckHeads(config, source, shape); !s.ok()) return s.error();
  Result<RopeSpec> rope = ReadRope(config, source, shape.head_dim);
  if (!rope.ok()) return rope.error();
  shape.rope = *rope;
  const std::string act = fields.String("hidden_act").value_or("silu");
  if (act != "silu") {
    fields.Fail(
        MakeError("{}: hidden_act {} is not known, expected 'silu'", source, io::Quote(act)));
  }
  if (!fields.status().ok()) return fields.status().error();
  return shape;
}

}  // namespace

ModelSpec LlamaSpec(const LlamaShape& shape) {
  const NormSpec norm{.kind = kernels::NormKind::kRms, .eps = shape.rms_norm_eps};
  const LayerSpec layer{.input_norm = norm,
                        .ffn_norm = norm,
                        .attention = {.heads = shape.num_heads,
                                      .kv_heads = shape.num_kv_heads,
                                      .head_dim = shape.head_dim,
                                      .rope = 0,
                                      .qkv_bias = shape.attention_bias,
                                      .o_bias = shape.attention_bias},
                        .ffn = {.gated = true,
                                .activation = kernels::ActivationFunction::kSilu,
                                .inner = shape.intermediate_size,
                                .bias = shape.mlp_bias}};
  ModelSpec spec;
  spec.architecture = shape.architecture;
  spec.hidden_size = shape.hidden_size;
  spec.vocab_size = shape.vocab_size;
  spec.max_position_embeddings = shape.max_position_embeddings;
  spec.layers.assign(static_cast<size_t>(shape.num_layers), layer);
  spec.ropes = {shape.rope};
  spec.ropes[0].rotary_dim = shape.head_dim;
  spec.head = {.norm = norm, .tied = shape.tie_word_embeddings};
  return spec;
}

Result<ModelSpec> ReadLlama(const Json& config, const std::string& source) {
  Result<LlamaShape> shape = ReadShape(config, source, kLlamaPositions);
  if (!shape.ok()) return shape.error();
  return LlamaSpec(*shape);
}

Result<ModelSpec> ReadMistral(const Json& config, const std::string& source) {
  Result<LlamaShape> shape = ReadShape(config, source, kMistralPositions);
  if (!shape.ok()) return shape.error();
  shape->architecture = "MistralForCausalLM";
  ConfigFields fields(config, source);
  const int64_t most = shape->max_position_embeddings;
  const int64_t window = fields.Int("sliding_window", 0, INT64_MAX, most);
  if (window < most) {
    fields.Fail(
        MakeError("{}: sliding_window is {}, expected null or at least "
                  "max_position_embeddings = {}: windowed attention is not known",
                  source, window, most));
  }
  if (!fields.status().ok()) return fields.status().error();
  return LlamaSpec(*shape);
}

}  // namespace atom::model
