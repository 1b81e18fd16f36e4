// The forward pass, written once, in the order of the paper, for every backend and every family: it
// interprets a ModelSpec.
//
//   Embed ─ layer 0 ─ … ─ layer L-1 ─ Head
//
// Whole (Forward) or in pieces, layer by layer over many sequences, as quantization needs it. A
// SiteObserver sees the input of each group of linears.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "atom/kernels/backend.h"
#include "atom/model/device_layer.h"
#include "atom/model/kv_cache.h"
#include "atom/model/spec/model_spec.h"
#include "atom/model/step_plan.h"

namespace atom::model {

/// Is shown the (quantized) input of linears at each activation site, while a layer runs.
class SiteObserver {
 public:
  virtual ~SiteObserver() = default;
  virtual void OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) = 0;
  /// The same where each expert of a mixture has such a site of its own: a row for each pair of a
  /// token and an expert that it chose.
  virtual void OnExperts(artifact::SiteRole /*site*/, const kernels::PackedActivation& /*input*/,
                         const kernels::ExpertRouting& /*routing*/) {}
  /// After keys and values were appended, before attention: the queries of qkv as they will be
  /// used, k as the linear wrote it, and the pages.
  virtual void OnKv(const kernels::DeviceTensor& /*qkv*/, const kernels::KvLayer& /*kv*/) {}
  /// True once it has seen all that it wants: the layer may end there, its output undefined.
  virtual bool done() const { return false; }
};

/// The two halves of a layer, each of which adds to the residual stream.
enum class LayerPart { kAttention, kFfn, kBoth };

class Transformer {
 public:
  using Limits = StepLimits;
  Transformer(kernels::Backend& backend, const ModelSpec& spec, const Limits& limits);

  // Weights. Layers may be added one by one or stay with the caller (Prepare, RunLayer).
  /// [vocab][hidden], and the rows of learned positions in the same type, where the spec has them.
  void SetEmbedding(const TensorView& embedding, const TensorView* positions = nullptr);
  /// norm [hidden], with its bias where the spec has one, or nothing where the spec has no norm;
  /// head [vocab][hidden].
  void SetHead(std::span<const float> norm, std::span<const float> norm_bias,
               std::unique_ptr<kernels::PackedWeight> head);
  void SetHead(std::span<const float> norm, std::span<const float> norm_bias,
               const TensorView& head) {
    SetHead(norm, norm_bias, backend_.PrepackDense(head, {}));
  }
  void AddLayer(const artifact::HostLayer& host);  ///< the spec's next one
  /// The same host layer as the last: benchmarks have many copies of one.
  void AddSameLayer(const artifact::HostLayer& host);
  /// Makes room for the steps of a layer that stays with the caller: steps allocate nothing.
  void Prepare(const DeviceLayer& layer);
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }

  kernels::Backend& backend() const { return backend_; }
  const ModelSpec& spec() const { return spec_; }
  const Limits& limits() const { return limits_; }

  /// Of all layers.
  std::vector<kernels::KvShape> KvShapes() const;
  /// Bytes of all that steps take besides weights and KV.
  int64_t StepBytes() const { return model::StepBytes(backend_, spec_, limits_, plan_); }
  /// The pages of one sequence of so many positions, the exact ones of its longest step among them.
  kernels::PagePool SequencePool(int64_t positions, int64_t exact_window) const;
  /// A cache for all layers with room for one sequence of `positions` positions.
  KvCache MakeKvCache(int64_t positions);
  /// A Batch of one sequence with the pages of such a cache (kernels::SingleSequence).
  kernels::Batch OneSequence(std::vector<int32_t> tokens, int64_t start) const;

  // One step. BeginStep checks the batch and hands it to the backend; then Embed, RunLayer…, in
  // order. `pool` is that of the pages.
  void BeginStep(const kernels::Batch& batch, const kernels::PagePool& pool);
  /// Hidden states [T][hidden], valid until the next step; T in the backend's row bucket.
  kernels::DeviceTensor Embed();
  /// hidden += attention(…); hidden += ffn(…), as the layer's spec says, or one of them.
  void RunLayer(const DeviceLayer& layer, kernels::KvLayer& kv, const kernels::DeviceTensor& hidden,
                SiteObserver* observer, LayerPart part = LayerPart::kBoth);
  /// Those of batch.logit_rows, valid until the next step.
  kernels::DeviceTensor GatherLogitRows(const kernels::DeviceTensor& hidden);
  /// Logits [rows][vocab] of the given hidden states, at most head_rows() of them; valid until the
  /// next call.
  kernels::DeviceTensor Head(const kernels::DeviceTensor& hidden);
  int64_t head_rows() const { return logits_.tensor.rows; }

  /// A whole step: the hidden states after the last layer, [T][hidden]. `after_layer`, if given, is
  /// shown those after each layer, and as layer -1 the embeddings.
  using AfterLayer = std::function<void(int64_t layer, const kernels::DeviceTensor& hidden)>;
  kernels::DeviceTensor ForwardHidden(const kernels::Batch& batch, KvCache& cache,
                                      const AfterLayer& after_layer = {});
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
  kernels::PackedActivation& Activation(const quant::ActivationFormat& format, int64_t k,
                                        int64_t rows_per_token = 1);
  kernels::ExpertRouting& Routing(const kernels::RouterShape& shape);
  kernels::RopeTable Rope(const AttentionSpec& attention) const;
  /// y = x · Wᵀ of all linears of a site, side by side.
  void Multiply(const DeviceSite& site, const kernels::PackedActivation& x,
                const kernels::DeviceTensor& y);
  /// x = what the site's linears read of the hidden states: normalized, unless the layer's norms
  /// stand behind its sums.
  void QuantizeHidden(const kernels::DeviceTensor& hidden, const DeviceLayer& layer,
                      const NormWeights& norm, const DeviceSite& site,
                      kernels::PackedActivation& x);
  /// hidden += [norm](x · Wᵀ).
  void AddToResidual(const DeviceSite& site, const kernels::PackedActivation& x,
                     const std::optional<NormWeights>& norm, const kernels::DeviceTensor& hidden);
  void RunAttention(const DeviceLayer& layer, kernels::KvLayer& kv,
                    const kernels::DeviceTensor& hidden, SiteObserver* observer);
  void RunFfn(const DeviceLayer& layer, const kernels::DeviceTensor& hidden,
              SiteObserver* observer);
  void RunMixture(const DeviceLayer& layer, const kernels::DeviceTensor& hidden,
                  SiteObserver* observer);
  /// Which experts the rows choose.
  kernels::ExpertRouting& Route(const DeviceLayer& layer, const kernels::DeviceTensor& hidden);
  /// The step's rows, or its rows of logits, with padding where it decodes.
  int64_t Padded(int64_t rows) const;

  kernels::Backend& backend_;
  const ModelSpec spec_;
  Limits limits_;

  kernels::DeviceBuffer embedding_;
  kernels::DeviceBuffer positions_;
  DType embedding_dtype_ = DType::kF32;
  NormWeights final_norm_;
  std::unique_ptr<kernels::PackedWeight> head_;
  std::vector<kernels::DeviceBuffer> ropes_;  // tables of spec_.ropes
  std::vector<DeviceLayer> layers_;

  kernels::StepPlan plan_;  // of all that was prepared
  bool decodes_ = false;    // the step under way: then its rows are padded
  int64_t step_rows_ = 0;   // of the step under way, padding included
  int64_t logit_rows_ = 0;  // of the step under way
  Scratch hidden_, qkv_, attention_, gate_up_, router_, expert_up_, expert_out_, update_, gathered_,
      logits_;
  // One for each (format, K, rows of a token) that is distinct but for the clip ratio.
  struct OwnedActivation {
    std::unique_ptr<kernels::PackedActivation> room;
    int64_t rows_per_token;
  };
  std::vector<OwnedActivation> activations_;
  std::vector<std::unique_ptr<kernels::ExpertRouting>> routings_;
};

/// Rows [first, first + count) of a tensor.
kernels::DeviceTensor RowRange(const kernels::DeviceTensor& tensor, int64_t first, int64_t count);

}  // namespace atom::model
