#include "atom/model/spec/gguf_names.h"

#include "atom/io/gguf/gguf_architecture.h"

namespace atom::model {
namespace {

// Channel i of the first half of a head is row 2 i of it, channel i of the second half row 2 i + 1.
std::vector<int32_t> HalvesOfHeads(int64_t heads, int64_t head_dim) {
  std::vector<int32_t> order;
  order.reserve(static_cast<size_t>(heads * head_dim));
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t half = 0; half < 2; ++half) {
      for (int64_t i = 0; i < head_dim / 2; ++i) {
        order.push_back(static_cast<int32_t>(head * head_dim + 2 * i + half));
      }
    }
  }
  return order;
}

}  // namespace

Result<TensorNames> GgufTensorNames(const io::GgufFile& file, const ModelSpec& spec) {
  const Result<const io::GgufArchitecture*> found = io::FindGgufArchitecture(file);
  if (!found.ok()) return found.error();
  const io::GgufArchitecture& architecture = **found;
  const std::optional<MoeSpec>& moe = spec.layer(0).ffn.moe;  // of all layers
  TensorNames names;
  names.layer_prefix = io::kGgufLayerPrefix;
  for (const auto modules : {architecture.layer_modules, architecture.outer_modules}) {
    for (const io::GgufModule& module : modules) {
      const bool each_expert = module.name.find('*') != module.name.npos;
      const int64_t count = each_expert && moe ? moe->experts : 1;
      for (int64_t e = 0; e < count; ++e) {
        names.modules.emplace(io::GgufNameOfExpert(module.name, e),
                              io::TensorPlace{.name = io::GgufNameOfExpert(module.gguf_name, e),
                                              .offset = module.offset});
      }
    }
  }
  // Parts of fused modules, which are fused here too. Other names of the family's are its own.
  for (const auto& [module, place] : spec.names.modules) {
    if (place.as_it_is()) continue;
    const auto fused = names.modules.find(place.name);
    if (fused == names.modules.end()) continue;
    io::TensorPlace part = place;
    part.name = fused->second.name;
    names.modules[module] = std::move(part);
  }
  if (!architecture.interleaved_rope) return names;
  const AttentionSpec& attention = spec.layer(0).attention;
  names.modules["self_attn.q_proj"].row_order = HalvesOfHeads(attention.heads, attention.head_dim);
  names.modules["self_attn.k_proj"].row_order =
      HalvesOfHeads(attention.kv_heads, attention.head_dim);
  return names;
}

}  // namespace atom::model
