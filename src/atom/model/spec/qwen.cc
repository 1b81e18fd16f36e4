#include "atom/model/spec/qwen.h"

#include "atom/model/spec/config_fields.h"
#include "atom/model/spec/llama.h"
#include "atom/model/spec/moe_fields.h"

namespace atom::model {
namespace {

using io::Json;

constexpr int64_t kPositions = 32768;
constexpr int64_t kQwen3HeadDim = 128;
constexpr int64_t kWindow = 4096;
constexpr int64_t kWindowLayers = 28;

// Which layers have the window: layer_types says it, or else they begin at max_window_layers.
Result<std::vector<bool>> WindowLayers(const Json& config, const std::string& source,
                                       int64_t layers) {
  ConfigFields fields(config, source);
  const Json* types = fields.Array("layer_types");
  const int64_t first = fields.Int("max_window_layers", 0, INT64_MAX, kWindowLayers);
  if (!fields.status().ok()) return fields.status().error();
  std::vector<bool> windows;
  if (types == nullptr) {
    for (int64_t layer = 0; layer < layers; ++layer) windows.push_back(layer >= first);
    return windows;
  }
  if (std::ssize(*types) != layers) {
    return MakeError("{}: field 'layer_types' is a list of {}, expected one for each of {} layers",
                     source, types->size(), layers);
  }
  for (const Json& type : *types) {
    const std::string name = type.is_string() ? type.get<std::string>() : io::DescribeJson(type);
    if (name != "full_attention" && name != "sliding_attention") {
      return MakeError(
          "{}: layer type {} is not known, expected one of full_attention, sliding_attention",
          source, io::Quote(name));
    }
    windows.push_back(name == "sliding_attention");
  }
  return windows;
}

Status AddWindows(const Json& config, const std::string& source, ModelSpec& spec) {
  ConfigFields fields(config, source);
  const bool used = fields.Bool("use_sliding_window");
  if (!fields.status().ok() || !used) return fields.status();
  Result<int64_t> window = ReadWindow(config, source, spec.max_position_embeddings, kWindow);
  if (!window.ok()) return window.error();
  Result<std::vector<bool>> windows = WindowLayers(config, source, spec.num_layers());
  if (!windows.ok()) return windows.error();
  for (size_t layer = 0; layer < spec.layers.size(); ++layer) {
    if ((*windows)[layer]) spec.layers[layer].attention.window = *window;
  }
  return {};
}

void AddHeadNorms(const LlamaShape& shape, ModelSpec& spec) {
  const NormSpec norm{.kind = kernels::NormKind::kRms, .eps = shape.rms_norm_eps};
  for (LayerSpec& layer : spec.layers) layer.attention.q_norm = layer.attention.k_norm = norm;
}

// Layers that have an FFN and no mixture: those that mlp_only_layers names, and those between
// multiples of decoder_sparse_step.
Result<std::vector<bool>> PlainLayers(const Json& config, const std::string& source,
                                      int64_t layers) {
  ConfigFields fields(config, source);
  const int64_t step = fields.Int("decoder_sparse_step", 1, kMaxLayers, 1);
  const Json* named = fields.Array("mlp_only_layers");
  if (!fields.status().ok()) return fields.status().error();
  std::vector<bool> plain;
  for (int64_t layer = 0; layer < layers; ++layer) plain.push_back((layer + 1) % step != 0);
  if (named == nullptr) return plain;
  for (const Json& json : *named) {
    const int64_t layer = io::AsInt(json).value_or(-1);
    if (layer < 0 || layer >= layers) {
      return MakeError("{}: field 'mlp_only_layers' names {}, expected numbers of {} layers",
                       source, io::DescribeJson(json), layers);
    }
    plain[static_cast<size_t>(layer)] = true;
  }
  return plain;
}

Status AddMixtures(const Json& config, const std::string& source, ModelSpec& spec) {
  Result<MoeSpec> moe = ReadMoe(config, source, {.experts = 128, .top_k = 8});
  if (!moe.ok()) return moe.error();
  ConfigFields fields(config, source);
  moe->renormalize = fields.Bool("norm_topk_prob");
  const int64_t inner = fields.Int("moe_intermediate_size", 1, kMaxWidth, 768);
  if (!fields.status().ok()) return fields.status();
  Result<std::vector<bool>> plain = PlainLayers(config, source, spec.num_layers());
  if (!plain.ok()) return plain.error();
  for (size_t layer = 0; layer < spec.layers.size(); ++layer) {
    if ((*plain)[layer]) continue;
    spec.layers[layer].ffn.moe = *moe;
    spec.layers[layer].ffn.inner = inner;
  }
  return {};
}

}  // namespace

Result<ModelSpec> ReadQwen2(const Json& config, const std::string& source) {
  Result<LlamaShape> shape =
      ReadLlamaShape(config, source, {.architecture = "Qwen2ForCausalLM", .positions = kPositions});
  if (!shape.ok()) return shape.error();
  shape->attention_bias = shape->mlp_bias = false;  // it has no such fields
  ModelSpec spec = LlamaSpec(*shape);
  for (LayerSpec& layer : spec.layers) layer.attention.qkv_bias = true;
  if (Status s = AddWindows(config, source, spec); !s.ok()) return s.error();
  return spec;
}

Result<ModelSpec> ReadQwen3(const Json& config, const std::string& source) {
  Result<LlamaShape> shape = ReadLlamaShape(
      config, source,
      {.architecture = "Qwen3ForCausalLM", .positions = kPositions, .head_dim = kQwen3HeadDim});
  if (!shape.ok()) return shape.error();
  shape->mlp_bias = false;  // it has no such field
  ModelSpec spec = LlamaSpec(*shape);
  AddHeadNorms(*shape, spec);
  if (Status s = AddWindows(config, source, spec); !s.ok()) return s.error();
  return spec;
}

Result<ModelSpec> ReadQwen3Moe(const Json& config, const std::string& source) {
  Result<LlamaShape> shape = ReadLlamaShape(
      config, source,
      {.architecture = "Qwen3MoeForCausalLM", .positions = kPositions, .kv_heads = 4});
  if (!shape.ok()) return shape.error();
  shape->mlp_bias = false;  // it has no such field
  ConfigFields fields(config, source);
  if (fields.Bool("use_sliding_window")) {  // of all layers
    Result<int64_t> window =
        ReadWindow(config, source, ContextOf(shape->rope, shape->max_position_embeddings), kWindow);
    if (!window.ok()) return window.error();
    shape->window = *window;
  }
  if (!fields.status().ok()) return fields.status().error();
  ModelSpec spec = LlamaSpec(*shape);
  AddHeadNorms(*shape, spec);
  if (Status s = AddMixtures(config, source, spec); !s.ok()) return s.error();
  return spec;
}

}  // namespace atom::model
