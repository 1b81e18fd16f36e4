// One decoder layer on a backend: packed weights, norms, permutations. Made from a HostLayer, which
// may be freed afterwards.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/kernels/backend.h"

namespace atom::model {

/// Uploads fp32 or int32 values.
template <class T>
kernels::DeviceBuffer UploadValues(kernels::Backend& backend, std::span<const T> values) {
  kernels::DeviceBuffer buffer = backend.Allocate(values.size_bytes());
  backend.Upload(std::as_bytes(values), buffer.data());
  return buffer;
}

class DeviceLayer {
 public:
  DeviceLayer(kernels::Backend& backend, const artifact::HostLayer& host);

  const kernels::PackedWeight& weight(artifact::LinearId id) const {
    return *weights_[static_cast<size_t>(id)];
  }
  const quant::ActivationFormat& format(artifact::EdgeId id) const {
    return formats_[static_cast<size_t>(id)];
  }
  /// Null: the identity.
  const kernels::DeviceBuffer* permutation(artifact::EdgeId id) const {
    const kernels::DeviceBuffer& buffer = permutations_[static_cast<size_t>(id)];
    return buffer.data() == nullptr ? nullptr : &buffer;
  }
  const kernels::DeviceBuffer& input_norm() const { return input_norm_; }
  const kernels::DeviceBuffer& post_norm() const { return post_norm_; }
  const quant::KvFormat& kv_format() const { return kv_format_; }
  /// What steps must have room for.
  const std::vector<kernels::LinearPlan>& linears() const { return linears_; }

 private:
  std::array<std::unique_ptr<kernels::PackedWeight>, artifact::kLinears.size()> weights_;
  std::array<quant::ActivationFormat, artifact::kEdges.size()> formats_;
  std::array<kernels::DeviceBuffer, artifact::kEdges.size()> permutations_;
  kernels::DeviceBuffer input_norm_;
  kernels::DeviceBuffer post_norm_;
  quant::KvFormat kv_format_;
  std::vector<kernels::LinearPlan> linears_;
};

}  // namespace atom::model
