// One decoder layer on a backend: its spec beside packed weights, norms and permutations, resolved
// once, so that a step looks nothing up by name. Made from a HostLayer, which may be freed
// afterwards.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/kernels/backend.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// Uploads fp32 or int32 values.
template <class T>
kernels::DeviceBuffer UploadValues(kernels::Backend& backend, std::span<const T> values) {
  kernels::DeviceBuffer buffer = backend.Allocate(values.size_bytes());
  backend.Upload(std::as_bytes(values), buffer.data());
  return buffer;
}

/// A norm's weights on the device.
class NormWeights {
 public:
  NormWeights() = default;
  NormWeights(kernels::Backend& backend, const NormSpec& spec, std::span<const float> weight,
              std::span<const float> bias);

  kernels::DeviceNorm Use() const {
    return {.weight = &weight_,
            .eps = eps_,
            .kind = kind_,
            .bias = bias_.data() == nullptr ? nullptr : &bias_};
  }
  const kernels::DeviceBuffer& weight() const { return weight_; }

 private:
  kernels::DeviceBuffer weight_;
  kernels::DeviceBuffer bias_;
  float eps_ = 0.0f;
  kernels::NormKind kind_ = kernels::NormKind::kRms;
};

/// An activation site with the linears that read it, side by side; of experts, those of the first,
/// then those of the next. Where each expert has a site of its own, all of them: one format.
struct DeviceSite {
  artifact::SiteName name;
  quant::ActivationFormat format;
  int64_t width = 0;  ///< K
  kernels::DeviceBuffer permutation;
  std::vector<std::unique_ptr<kernels::PackedWeight>> weights;
  std::vector<const kernels::PackedWeight*> readers;  ///< the same, as Linear takes them

  /// What is gathered while quantizing. Null: the identity.
  const kernels::DeviceBuffer* gather() const {
    return permutation.data() == nullptr ? nullptr : &permutation;
  }
};

struct DeviceLayer {
  /// REQUIRES: `host` has the parts that the spec names. `same`, if given, was made of the same
  /// host layer: its weights may be duplicated, which can be faster than to pack them again.
  DeviceLayer(kernels::Backend& backend, const LayerSpec& layer_spec,
              const artifact::HostLayer& host, const DeviceLayer* same = nullptr);

  /// Other weights of the same shapes in a site's linears, in their order.
  void ReplaceWeights(kernels::Backend& backend, artifact::SiteRole site,
                      std::span<const artifact::HostLinear> linears);

  const quant::KvFormat& kv_format() const { return kv; }
  kernels::HeadNorms head_norms() const;
  /// What steps must have room for.
  const std::vector<kernels::LinearPlan>& linears() const { return linear_plans; }

  LayerSpec spec;
  NormWeights input_norm, ffn_norm;
  std::optional<NormWeights> post_attention_norm, post_ffn_norm, q_norm, k_norm;
  DeviceSite qkv, o, gate_up, down;
  std::unique_ptr<kernels::PackedWeight> router;  ///< of a mixture of experts, else null
  quant::KvFormat kv;  ///< simulated where the backend has no kernels for the host's
  std::vector<kernels::LinearPlan> linear_plans;
};

}  // namespace atom::model
