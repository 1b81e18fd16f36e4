#include "atom/model/device_layer.h"

namespace atom::model {
namespace {

std::unique_ptr<kernels::PackedWeight> Pack(kernels::Backend& backend,
                                            const artifact::HostLinear& linear) {
  if (linear.packed()) {
    return backend.Prepack(std::get<artifact::PackedMatrix>(linear.weight).view, linear.bias);
  }
  return backend.PrepackDense(std::get<artifact::DenseMatrix>(linear.weight).view, linear.bias);
}

/// 0: dense.
int64_t GroupOf(const artifact::HostLinear& linear) {
  if (!linear.packed()) return 0;
  const int64_t group = std::get<artifact::PackedMatrix>(linear.weight).view.group;
  return group > 0 ? group : linear.k();
}

}  // namespace

DeviceLayer::DeviceLayer(kernels::Backend& backend, const artifact::HostLayer& host)
    : input_norm_(UploadValues<float>(backend, host.input_norm)),
      post_norm_(UploadValues<float>(backend, host.post_norm)),
      kv_format_(host.kv) {
  for (const artifact::LinearId id : artifact::kLinears) {
    weights_[static_cast<size_t>(id)] = Pack(backend, host[id]);
    linears_.push_back({.input = host[artifact::InputEdge(id)].format,
                        .k = host[id].k(),
                        .n = host[id].n(),
                        .weight_group = GroupOf(host[id])});
  }
  for (const artifact::EdgeId id : artifact::kEdges) {
    const auto index = static_cast<size_t>(id);
    formats_[index] = host[id].format;
    // The rows of gate and up carry kDown's permutation already.
    if (id == artifact::EdgeId::kDown || host[id].permutation.empty()) continue;
    permutations_[index] = UploadValues<int32_t>(backend, host[id].permutation.source());
  }
}

}  // namespace atom::model
