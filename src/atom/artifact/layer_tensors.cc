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

void AddPacked(const quant::QuantizedView& matrix, int64_t layer, const LinearName& linear,
               std::vector<io::NamedTensor>& tensors) {
  const auto add = [&](const PackedPart& part, const auto& values) {
    const TensorView view = ViewOf(part.dtype, part.shape, values);
    if (view.elements() > 0) tensors.push_back({LinearTensorName(layer, linear, part.name), view});
  };
  const auto parts =
      PackedParts(matrix.n, {matrix.k4, matrix.k8, matrix.group, matrix.scale_format()});
  add(parts[kCodes4], matrix.codes4);
  add(parts[kScales4], matrix.scales4);
  add(parts[kMultipliers4], matrix.multipliers4);
  add(parts[kRowScales4], matrix.row_scales4);
  add(parts[kCodes8], matrix.codes8);
  add(parts[kScales8], matrix.scales8);
}

}  // namespace

std::string NormTensorName(int64_t layer, NormRole role, std::string_view part) {
  return fmt::format("{}{}.{}", LayerPrefix(layer), ModulePath(role), part);
}

std::string LinearTensorName(int64_t layer, const LinearName& linear, std::string_view part) {
  return fmt::format("{}{}.{}", LayerPrefix(layer), ModulePath(linear), part);
}

std::string RouterName(int64_t layer) {
  return fmt::format("{}{}.weight", LayerPrefix(layer), kRouterModule);
}

std::string KeyMeanName(int64_t layer) { return LayerPrefix(layer) + "self_attn.key_mean"; }

std::string PermutationName(int64_t layer, const SiteName& site) {
  return fmt::format("{}permutation.{}", LayerPrefix(layer), ToString(site));
}

std::string ShardName(int64_t shard, int64_t shards) {
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard, shards);
}

std::array<PackedPart, kPackedPartCount> PackedParts(int64_t n, const PackedColumns& columns) {
  const int64_t groups = columns.k4 == 0 ? 0 : columns.k4 / columns.group;
  const bool two_level = columns.scales == quant::ScaleFormat::kTwoLevel;
  const int64_t rows4 = two_level && columns.k4 > 0 ? n : 0;
  return {PackedPart{kPackedPartNames[kCodes4], DType::kU8, {n, columns.k4 / 2}},
          PackedPart{kPackedPartNames[kScales4], DType::kF16, {two_level ? 0 : groups, n}},
          PackedPart{
              kPackedPartNames[kMultipliers4], DType::kU8, {two_level ? groups : 0, (n + 1) / 2}},
          PackedPart{kPackedPartNames[kRowScales4], DType::kF32, {rows4}},
          PackedPart{kPackedPartNames[kCodes8], DType::kI8, {n, columns.k8}},
          PackedPart{kPackedPartNames[kScales8], DType::kF16, {columns.k8 == 0 ? 0 : n}}};
}

std::vector<io::NamedTensor> LayerTensors(const HostLayer& host, int64_t layer) {
  std::vector<io::NamedTensor> tensors;
  const auto add_floats = [&](std::string name, const std::vector<float>& values) {
    if (values.empty()) return;
    const Shape shape = {static_cast<int64_t>(values.size())};
    tensors.push_back({std::move(name), ViewOf(DType::kF32, shape, std::span(values))});
  };
  for (const HostLinear& linear : host.linears) {
    if (linear.packed()) {
      AddPacked(std::get<PackedMatrix>(linear.weight).view, layer, linear.name, tensors);
    } else {
      const TensorView& weight = std::get<DenseMatrix>(linear.weight).view;
      tensors.push_back({LinearTensorName(layer, linear.name, "weight"), weight});
    }
  }
  if (host.router) tensors.push_back({RouterName(layer), host.router->view});
  for (const HostLinear& linear : host.linears) {
    add_floats(LinearTensorName(layer, linear.name, "bias"), linear.bias);
  }
  for (const HostSite& site : host.sites) {
    if (site.permutation.empty()) continue;
    tensors.push_back({PermutationName(layer, site.name),
                       {DType::kI32,
                        {site.permutation.size()},
                        std::as_bytes(site.permutation.source()).data()}});
  }
  for (const HostNorm& norm : host.norms) {
    add_floats(NormTensorName(layer, norm.role, "weight"), norm.weight);
    add_floats(NormTensorName(layer, norm.role, "bias"), norm.bias);
  }
  add_floats(KeyMeanName(layer), host.kv.key_mean);
  return tensors;
}

}  // namespace atom::artifact
