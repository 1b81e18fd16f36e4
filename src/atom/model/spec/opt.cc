#include "atom/model/spec/opt.h"

#include <array>

#include "atom/model/spec/config_fields.h"

namespace atom::model {
namespace {

using io::Json;

// Defaults of Hugging Face's config class.
constexpr int64_t kPositions = 2048;
constexpr int64_t kPositionOffset = 2;
constexpr double kEps = 1e-5;  // which no field says

struct ActivationRow {
  std::string_view name;
  kernels::ActivationFunction function;
};
constexpr std::array kActivations = {
    ActivationRow{"relu", kernels::ActivationFunction::kRelu},
    ActivationRow{"gelu", kernels::ActivationFunction::kGelu},
};

TensorNames OptNames() {
  TensorNames names;
  names.layer_prefix = "model.decoder.layers.";
  names.modules = {{"input_layernorm", {.name = "self_attn_layer_norm"}},
                   {"self_attn.o_proj", {.name = "self_attn.out_proj"}},
                   {"post_attention_layernorm", {.name = "final_layer_norm"}},
                   {"mlp.up_proj", {.name = "fc1"}},
                   {"mlp.down_proj", {.name = "fc2"}},
                   {"model.embed_tokens", {.name = "model.decoder.embed_tokens"}},
                   {"model.embed_positions", {.name = "model.decoder.embed_positions"}},
                   {"model.project_in", {.name = "model.decoder.project_in"}},
                   {"model.project_out", {.name = "model.decoder.project_out"}},
                   {"model.norm", {.name = "model.decoder.final_layer_norm"}}};
  return names;
}

Result<AttentionSpec> ReadAttention(ConfigFields& fields, const std::string& source, int64_t hidden,
                                    bool biases) {
  AttentionSpec attention{.qkv_bias = biases, .o_bias = biases};
  attention.heads = attention.kv_heads = fields.Int("num_attention_heads", 1, kMaxHeads);
  if (!fields.status().ok()) return fields.status().error();
  attention.head_dim = hidden / attention.heads;
  if (hidden % attention.heads != 0 || attention.head_dim % 2 != 0) {
    return MakeError("{}: hidden_size {} is not an even multiple of num_attention_heads {}", source,
                     hidden, attention.heads);
  }
  return attention;
}

}  // namespace

Result<ModelSpec> ReadOpt(const Json& config, const std::string& source) {
  ConfigFields fields(config, source);
  ModelSpec spec;
  spec.architecture = "OPTForCausalLM";
  spec.hidden_size = fields.Int("hidden_size", 1, kMaxWidth);
  spec.vocab_size = fields.Int("vocab_size", 1, kMaxVocabulary);
  spec.max_position_embeddings =
      fields.Int("max_position_embeddings", 1, kMaxPositions, kPositions);
  const int64_t layers = fields.Int("num_hidden_layers", 1, kMaxLayers);
  const int64_t inner = fields.Int("ffn_dim", 1, kMaxWidth);
  const int64_t table = fields.Int("word_embed_proj_dim", 1, kMaxWidth, spec.hidden_size);
  const auto flag = [&fields](std::string_view key) {
    return fields.Find(key) == nullptr || fields.Bool(key);  // true where it is absent
  };
  const bool biases = flag("enable_bias");
  const bool norms_first = flag("do_layer_norm_before");
  const bool tied = flag("tie_word_embeddings");
  const bool no_last_norm = fields.Bool("_remove_final_layer_norm");
  if (!flag("layer_norm_elementwise_affine")) {
    fields.Fail(
        MakeError("{}: layer_norm_elementwise_affine is false, expected true: norms without "
                  "weights are not known",
                  source));
  }
  const std::string name = fields.String("activation_function").value_or("relu");
  if (!fields.status().ok()) return fields.status().error();
  const Result<ActivationRow> activation =
      FindRow(kActivations, &ActivationRow::name, name, "activation_function", source);
  if (!activation.ok()) return activation.error();
  const Result<AttentionSpec> attention = ReadAttention(fields, source, spec.hidden_size, biases);
  if (!attention.ok()) return attention.error();

  const NormSpec norm{.kind = kernels::NormKind::kLayer, .eps = kEps, .bias = true};
  const LayerSpec layer{
      .input_norm = norm,
      .ffn_norm = norm,
      .norms_behind_sums = !norms_first,
      .attention = *attention,
      .ffn = {.gated = false, .activation = activation->function, .inner = inner, .bias = biases}};
  spec.layers.assign(static_cast<size_t>(layers), layer);
  spec.embedding = {.learned_positions = true,
                    .position_rows = spec.max_position_embeddings + kPositionOffset,
                    .position_offset = kPositionOffset,
                    .projected_from = table == spec.hidden_size ? 0 : table};
  spec.head = {.norm = norm, .normalizes = norms_first && !no_last_norm, .tied = tied};
  spec.names = OptNames();
  return spec;
}

}  // namespace atom::model
