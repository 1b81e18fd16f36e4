#include "atom/artifact/layer_tensors.h"

#include <span>

namespace atom::artifact {
namespace {

template <class T>
TensorView ViewOf(DType dtype, Shape shape, std::span<const T> values) {
  const TensorView view{dtype, std::move(shape), std::as_bytes(values).data()};
  ATOM_CHECK(view.bytes() == static_cast<int64_t>(values.size_bytes()), "{} values for shape {}",
             values.size(), ShapeString(view.shape));
  return view;
}

void AddPacked(const quant::QuantizedView& matrix, int64_t layer, LinearId id,
               std::vector<io::NamedTensor>& tensors) {
  const auto add = [&](const PackedPart& part, const auto& values) {
    const TensorView view = ViewOf(part.dtype, part.shape, values);
    if (view.elements() > 0) tensors.push_back({LinearTensorName(layer, id, part.name), view});
  };
  const auto parts = PackedParts(matrix.n, {matrix.k4, matrix.k8, matrix.group});
  add(parts[kCodes4], matrix.codes4);
  add(parts[kScales4], matrix.scales4);
  add(parts[kCodes8], matrix.codes8);
  add(parts[kScales8], matrix.scales8);
}

}  // namespace

std::string InputNormName(int64_t layer) { return LayerPrefix(layer) + "input_layernorm.weight"; }

std::string PostNormName(int64_t layer) {
  return LayerPrefix(layer) + "post_attention_layernorm.weight";
}

std::string LinearTensorName(int64_t layer, LinearId id, std::string_view part) {
  return fmt::format("{}{}.{}", LayerPrefix(layer), Name(id), part);
}

std::string PermutationName(int64_t layer, EdgeId edge) {
  return fmt::format("{}permutation.{}", LayerPrefix(layer), Name(edge));
}

std::string ShardName(int64_t shard, int64_t shards) {
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard, shards);
}

std::array<PackedPart, 4> PackedParts(int64_t n, const PackedColumns& columns) {
  const int64_t groups = columns.k4 == 0 ? 0 : columns.k4 / columns.group;
  return {PackedPart{kPackedPartNames[kCodes4], DType::kU8, {n, columns.k4 / 2}},
          PackedPart{kPackedPartNames[kScales4], DType::kF16, {groups, n}},
          PackedPart{kPackedPartNames[kCodes8], DType::kI8, {n, columns.k8}},
          PackedPart{kPackedPartNames[kScales8], DType::kF16, {columns.k8 == 0 ? 0 : n}}};
}

std::vector<io::NamedTensor> LayerTensors(const HostLayer& host, int64_t layer) {
  std::vector<io::NamedTensor> tensors;
  for (const LinearId id : kLinears) {
    const HostLinear& linear = host[id];
    if (linear.packed()) {
      AddPacked(std::get<PackedMatrix>(linear.weight).view, layer, id, tensors);
    } else {
      const TensorView& weight = std::get<DenseMatrix>(linear.weight).view;
      tensors.push_back({LinearTensorName(layer, id, "weight"), weight});
    }
  }
  for (const LinearId id : kLinears) {
    const std::vector<float>& bias = host[id].bias;
    if (bias.empty()) continue;
    tensors.push_back({LinearTensorName(layer, id, "bias"),
                       ViewOf(DType::kF32, {static_cast<int64_t>(bias.size())}, std::span(bias))});
  }
  for (const EdgeId edge : kEdges) {
    const quant::Permutation& permutation = host[edge].permutation;
    if (permutation.empty()) continue;
    tensors.push_back(
        {PermutationName(layer, edge),
         {DType::kI32, {permutation.size()}, std::as_bytes(permutation.source()).data()}});
  }
  const auto add_norm = [&](std::string name, const std::vector<float>& norm) {
    tensors.push_back({std::move(name),
                       ViewOf(DType::kF32, {static_cast<int64_t>(norm.size())}, std::span(norm))});
  };
  add_norm(InputNormName(layer), host.input_norm);
  add_norm(PostNormName(layer), host.post_norm);
  return tensors;
}

}  // namespace atom::artifact
