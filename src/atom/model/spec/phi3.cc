#include "atom/model/spec/phi3.h"

#include "atom/model/spec/config_fields.h"
#include "atom/model/spec/llama.h"

namespace atom::model {

using io::Json;

TensorNames Phi3Names(const LayerSpec& layer) {
  const int64_t q = layer.attention.q_width();
  const int64_t kv = layer.attention.kv_width();
  const int64_t inner = layer.ffn.inner;
  const std::string qkv = "self_attn.qkv_proj";
  const std::string gate_up = "mlp.gate_up_proj";
  TensorNames names;
  names.modules = {{"self_attn.q_proj", {.name = qkv, .first_row = 0, .rows = q}},
                   {"self_attn.k_proj", {.name = qkv, .first_row = q, .rows = kv}},
                   {"self_attn.v_proj", {.name = qkv, .first_row = q + kv, .rows = kv}},
                   {"mlp.gate_proj", {.name = gate_up, .first_row = 0, .rows = inner}},
                   {"mlp.up_proj", {.name = gate_up, .first_row = inner, .rows = inner}}};
  return names;
}

Result<ModelSpec> ReadPhi3(const Json& config, const std::string& source) {
  constexpr int64_t kPositions = 4096;
  // An absent original length has this one, whatever the context is.
  Json whole = config;
  if (!whole.contains("original_max_position_embeddings")) {
    whole["original_max_position_embeddings"] = kPositions;
  }
  if (!whole.contains("max_position_embeddings")) whole["max_position_embeddings"] = kPositions;
  Result<LlamaShape> shape = ReadLlamaShape(whole, source,
                                            {.architecture = "Phi3ForCausalLM",
                                             .positions = kPositions,
                                             .eps = 1e-5,
                                             .rope = {.partial = true, .yarn_is_longrope = true}});
  if (!shape.ok()) return shape.error();
  shape->attention_bias = shape->mlp_bias = false;  // files say so, and it has none
  Result<int64_t> window = ReadWindow(config, source, shape->max_position_embeddings, INT64_MAX);
  if (!window.ok()) return window.error();
  shape->window = *window;
  ModelSpec spec = LlamaSpec(*shape);
  spec.names = Phi3Names(spec.layer(0));
  return spec;
}

}  // namespace atom::model
