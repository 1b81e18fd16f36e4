// The forward pass, written once, in the order of the paper, for every backend:
//
//   Embed ─ layer 0 ─ … ─ layer L-1 ─ Head
//
// Whole (Forward) or in pieces, layer by layer over many sequences, as quantization needs it. An
// EdgeObserver sees the input of each group of linears.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "atom/kernels/backend.h"
#include "atom/model/device_layer.h"
#include "atom/model/kv_cache.h"
#include "atom/model/model_config.h"
#include "atom/model/step_plan.h"

namespace atom::model {

/// Is shown the (quantized) input of the linears behind each edge, while a layer runs.
class EdgeObserver {
 public:
  virtual ~EdgeObserver() = default;
  virtual void OnEdge(artifact::EdgeId edge, const kernels::PackedActivation& input) = 0;
  /// False: the layer may end once its last edge was shown, its output undefined.
  virtual bool wants_output() const { return true; }
};

class Transformer {
 public:
  using Limits = StepLimits;
  Transformer(kernels::Backend& backend, const ModelConfig& config, const Limits& limits);

  // Weights. Layers may be added one by one or stay with the caller (Prepare, RunLayer).
  void SetEmbedding(const TensorView& embedding);  ///< [vocab][hidden]
  /// norm [hidden]; head [vocab][hidden].
  void SetHead(std::span<const float> norm, const TensorView& head);
  void AddLayer(const artifact::HostLayer& host);
  /// Makes room for the steps of a layer that stays with the caller: steps allocate nothing.
  void Prepare(const DeviceLayer& layer);
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }

  kernels::Backend& backend() const { return backend_; }
  const ModelConfig& config() const { return config_; }
  const Limits& limits() const { return limits_; }

  /// Of all layers.
  std::vector<kernels::KvShape> KvShapes() const;
  /// Bytes of all that steps take besides weights and KV.
  int64_t StepBytes() const { return model::StepBytes(backend_, config_, limits_, plan_); }
  /// A cache for all layers with room for `positions` positions in whole pages.
  KvCache MakeKvCache(int64_t positions);
  /// A Batch of one sequence with pages of the backend's size (kernels::SingleSequence).
  kernels::Batch OneSequence(std::vector<int32_t> tokens, int64_t start) const;

  // One step. BeginStep checks the batch and hands it to the backend; then Embed, RunLayer…, in
  // order. `pool` is that of the pages.
  void BeginStep(const kernels::Batch& batch, const kernels::PagePool& pool);
  /// Hidden states [T][hidden], valid until the next step; T in the backend's row bucket.
  kernels::DeviceTensor Embed();
  /// hidden += attention(…); hidden += mlp(…).
  void RunLayer(const DeviceLayer& layer, kernels::KvLayer& kv, const kernels::DeviceTensor& hidden,
                EdgeObserver* observer);
  /// Those of batch.logit_rows, valid until the next step.
  kernels::DeviceTensor GatherLogitRows(const kernels::DeviceTensor& hidden);
  /// Logits [rows][vocab] of the given hidden states, at most head_rows() of them; valid until the
  /// next call.
  kernels::DeviceTensor Head(const kernels::DeviceTensor& hidden);
  int64_t head_rows() const { return logits_.tensor.rows; }

  /// A whole step: the hidden states after the last layer, [T][hidden].
  kernels::DeviceTensor ForwardHidden(const kernels::Batch& batch, KvCache& cache);
  /// A whole step: the logits of batch.logit_rows, at most head_rows() of them.
  kernels::DeviceTensor Forward(const kernels::Batch& batch, KvCache& cache);

 private:
  struct Scratch {
    kernels::DeviceBuffer buffer;
    kernels::DeviceTensor tensor;
  };
  Scratch MakeScratch(const TensorShape& shape);
  void MakeActivations(std::span<const kernels::LinearPlan> linears);
  /// REQUIRES: a layer with it was prepared.
  kernels::PackedActivation& Activation(const quant::ActivationFormat& format, int64_t k);
  /// The linears of an edge side by side.
  void Multiply(const DeviceLayer& layer, std::initializer_list<artifact::LinearId> ids,
                const kernels::PackedActivation& x, const kernels::DeviceTensor& y,
                kernels::OutputMode mode);
  void RunAttention(const DeviceLayer& layer, kernels::KvLayer& kv,
                    const kernels::DeviceTensor& hidden, EdgeObserver* observer);
  void RunMlp(const DeviceLayer& layer, const kernels::DeviceTensor& hidden,
              EdgeObserver* observer);

  kernels::Backend& backend_;
  ModelConfig config_;
  Limits limits_;
  kernels::AttentionShape attention_shape_;

  kernels::DeviceBuffer embedding_;
  DType embedding_dtype_ = DType::kF32;
  kernels::DeviceBuffer final_norm_;
  std::unique_ptr<kernels::PackedWeight> head_;
  kernels::DeviceBuffer rope_;
  std::vector<DeviceLayer> layers_;

  kernels::StepPlan plan_;  // of all that was prepared
  int64_t step_rows_ = 0;   // of the step under way, padding included
  int64_t logit_rows_ = 0;  // of the step under way
  Scratch hidden_, qkv_, attention_, gate_up_, gathered_, logits_;
  // One for each (format, K) that is distinct but for the clip ratio.
  std::vector<std::unique_ptr<kernels::PackedActivation>> activations_;
};

/// Rows [first, first + count) of a tensor.
kernels::DeviceTensor RowRange(const kernels::DeviceTensor& tensor, int64_t first, int64_t count);

}  // namespace atom::model
