#include "atom/model/spec/llama.h"

#include "atom/model/spec/config_fields.h"
#include "atom/model/spec/rope_fields.h"

namespace atom::model {
namespace {

using io::Json;

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

}  // namespace

Result<LlamaShape> ReadLlamaShape(const Json& config, const std::string& source,
                                  const LlamaDefaults& defaults) {
  ConfigFields fields(config, source);
  LlamaShape shape;
  shape.architecture = defaults.architecture;
  shape.hidden_size = fields.Int("hidden_size", 1, kMaxWidth);
  shape.intermediate_size = fields.Int("intermediate_size", 1, kMaxWidth);
  shape.num_layers = fields.Int("num_hidden_layers", 1, kMaxLayers);
  shape.num_heads = fields.Int("num_attention_heads", 1, kMaxHeads);
  if (!fields.status().ok()) return fields.status().error();
  const int64_t kv_heads = defaults.kv_heads > 0 ? defaults.kv_heads : shape.num_heads;
  shape.num_kv_heads = fields.Int("num_key_value_heads", 1, shape.num_heads, kv_heads);
  const int64_t head_dim =
      defaults.head_dim > 0 ? defaults.head_dim : shape.hidden_size / shape.num_heads;
  shape.head_dim = fields.Int("head_dim", 2, kMaxHeadDim, head_dim);
  shape.vocab_size = fields.Int("vocab_size", 1, kMaxVocabulary);
  shape.max_position_embeddings =
      fields.Int("max_position_embeddings", 1, kMaxPositions, defaults.positions);
  shape.rms_norm_eps = fields.Number("rms_norm_eps", 1e-12, 1.0, defaults.eps);
  shape.tie_word_embeddings = fields.Bool("tie_word_embeddings");
  shape.attention_bias = fields.Bool("attention_bias");
  shape.mlp_bias = fields.Bool("mlp_bias");
  if (!fields.status().ok()) return fields.status().error();
  if (Status s = CheckHeads(config, source, shape); !s.ok()) return s.error();
  Result<RopeSpec> rope = ReadRope(config, source, shape.head_dim, defaults.rope);
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

Result<int64_t> ReadWindow(const Json& config, const std::string& source, int64_t positions,
                           int64_t absent) {
  if (config.contains("sliding_window") && config["sliding_window"].is_null()) return 0;
  ConfigFields fields(config, source);
  const int64_t window = fields.Int("sliding_window", 1, INT64_MAX, absent);
  if (!fields.status().ok()) return fields.status().error();
  return window < positions ? window : 0;
}

ModelSpec LlamaSpec(const LlamaShape& shape) {
  const NormSpec norm{.kind = kernels::NormKind::kRms, .eps = shape.rms_norm_eps};
  const LayerSpec layer{.input_norm = norm,
                        .ffn_norm = norm,
                        .attention = {.heads = shape.num_heads,
                                      .kv_heads = shape.num_kv_heads,
                                      .head_dim = shape.head_dim,
                                      .window = shape.window,
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
  spec.ropes = {shape.rope};
  if (shape.rope.rotary_dim == 0) spec.ropes[0].rotary_dim = shape.head_dim;
  spec.max_position_embeddings = ContextOf(shape.rope, shape.max_position_embeddings);
  spec.layers.assign(static_cast<size_t>(shape.num_layers), layer);
  spec.head = {.norm = norm, .tied = shape.tie_word_embeddings};
  return spec;
}

Result<ModelSpec> ReadLlama(const Json& config, const std::string& source) {
  Result<LlamaShape> shape = ReadLlamaShape(config, source, {});
  if (!shape.ok()) return shape.error();
  return LlamaSpec(*shape);
}

Result<ModelSpec> ReadMistral(const Json& config, const std::string& source) {
  constexpr int64_t kWindow = 4096;
  Result<LlamaShape> shape =
      ReadLlamaShape(config, source, {.architecture = "MistralForCausalLM", .positions = 131072});
  if (!shape.ok()) return shape.error();
  Result<int64_t> window =
      ReadWindow(config, source, ContextOf(shape->rope, shape->max_position_embeddings), kWindow);
  if (!window.ok()) return window.error();
  shape->window = *window;
  return LlamaSpec(*shape);
}

}  // namespace atom::model
