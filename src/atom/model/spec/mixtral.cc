#include "atom/model/spec/mixtral.h"

#include "atom/model/spec/config_fields.h"
#include "atom/model/spec/llama.h"
#include "atom/model/spec/moe_fields.h"

namespace atom::model {
namespace {

// "block_sparse_moe.experts.3.w1" is the gate of expert 3.
TensorNames Names(int64_t experts) {
  TensorNames names;
  names.modules["mlp.gate"] = {.name = "block_sparse_moe.gate"};
  for (int64_t e = 0; e < experts; ++e) {
    const std::string ours = fmt::format("mlp.experts.{}.", e);
    const std::string theirs = fmt::format("block_sparse_moe.experts.{}.", e);
    names.modules[ours + "gate_proj"] = {.name = theirs + "w1"};
    names.modules[ours + "up_proj"] = {.name = theirs + "w3"};
    names.modules[ours + "down_proj"] = {.name = theirs + "w2"};
  }
  return names;
}

}  // namespace

Result<ModelSpec> ReadMixtral(const io::Json& config, const std::string& source) {
  io::Json whole = config;
  if (!whole.contains("rope_theta") && !whole.contains("rope_parameters")) {
    whole["rope_theta"] = 1e6;
  }
  Result<LlamaShape> shape = ReadLlamaShape(
      whole, source,
      {.architecture = "MixtralForCausalLM", .positions = 131072, .kv_heads = 8, .eps = 1e-5});
  if (!shape.ok()) return shape.error();
  const int64_t context = ContextOf(shape->rope, shape->max_position_embeddings);
  Result<int64_t> window = ReadWindow(config, source, context, context);
  if (!window.ok()) return window.error();
  shape->window = *window;
  shape->attention_bias = shape->mlp_bias = false;  // it has no such fields
  Result<MoeSpec> moe = ReadMoe(config, source, {.experts = 8, .top_k = 2});
  if (!moe.ok()) return moe.error();
  ModelSpec spec = LlamaSpec(*shape);
  for (LayerSpec& layer : spec.layers) layer.ffn.moe = *moe;
  spec.names = Names(moe->experts);
  return spec;
}

}  // namespace atom::model
