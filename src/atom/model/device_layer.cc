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

}  // namespace

DeviceLayer::DeviceLayer(kernels::Backend& backend, const artifact::HostLayer& host)
    : input_norm_(UploadValues<float>(backend, host.input_norm)),
      post_norm_(UploadValues<float>(backend, host.post_norm)),
      kv_format_(host.kv) {
  for (const artifact::LinearId id : artifact::kLinears) {
    weights_[static_cast<size_t>(id)] = Pack(backend, host[id]);
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
