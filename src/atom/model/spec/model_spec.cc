#include "atom/model/spec/model_spec.h"

#include <algorithm>
#include <fmt/format.h>

#include "atom/artifact/layer.h"

namespace atom::model {

kernels::AttentionShape AttentionSpec::Shape() const {
  return {.heads = heads,
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .score_divisor = static_cast<float>(score_divisor),
          .softcap = static_cast<float>(softcap),
          .window = window};
}

std::string TensorNames::LayerPrefix(int64_t layer) const {
  return fmt::format("{}{}.", layer_prefix, layer);
}

io::TensorPlace TensorNames::Place(std::string_view tensor) const {
  // Every name is PREFIX MODULE . PART, and PREFIX is "model.layers.I." or nothing.
  const std::string_view layers = artifact::kLayersPrefix;
  std::string prefix;
  std::string_view rest = tensor;
  if (tensor.starts_with(layers)) {
    const size_t dot = tensor.find('.', layers.size());
    prefix = layer_prefix + std::string(tensor.substr(layers.size(), dot + 1 - layers.size()));
    rest = tensor.substr(dot + 1);
  }
  const size_t dot = rest.rfind('.');
  const auto found = modules.find(rest.substr(0, dot));
  if (found == modules.end()) return {.name = prefix + std::string(rest)};
  io::TensorPlace place = found->second;
  place.name = prefix + place.name + std::string(rest.substr(dot));
  if (!rest.ends_with(".weight")) place.transposed = false;  // a bias has one axis
  return place;
}

int64_t ModelSpec::window() const {
  int64_t window = 0;
  for (const LayerSpec& layer : layers) {
    if (layer.attention.window == 0) return 0;
    window = std::max(window, layer.attention.window);
  }
  return window;
}

Status CheckComputable(const ModelSpec& spec, const std::string& source) {
  for (int64_t i = 0; i < spec.num_layers(); ++i) {
    if (!spec.layer(i).ffn.moe || !spec.layer(i).ffn.moe->shared_expert) continue;
    return MakeError("{}: layer {} has an expert that all tokens share, which is not computed yet",
                     source, i);
  }
  return {};
}

}  // namespace atom::model
