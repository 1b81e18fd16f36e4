#include "atom/model/transformer.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/model/rope.h"

namespace atom::model {

using kernels::DeviceTensor;
using kernels::OutputMode;
using kernels::PackedActivation;

namespace {

/// Logits are produced for at most this many rows at once: they are wide.
constexpr int64_t kHeadRows = 256;

/// Outputs of gate and up, or of up alone.
int64_t UpWidth(const FfnSpec& ffn) { return (ffn.gated ? 2 : 1) * ffn.inner; }

}  // namespace

DeviceTensor RowRange(const kernels::Backend& backend, const DeviceTensor& tensor, int64_t first,
                      int64_t count) {
  ATOM_CHECK(first >= 0 && count >= 0 && first + count <= tensor.rows, "rows [{}, +{}) of {}",
             first, count, tensor.rows);
  DeviceTensor range = tensor;
  range.data = static_cast<std::byte*>(tensor.data) +
               first * tensor.stride * DTypeSize(backend.hidden_dtype());
  range.rows = count;
  return range;
}

Transformer::Transformer(kernels::Backend& backend, const ModelSpec& spec, const Limits& limits)
    : backend_(backend), spec_(spec), limits_(limits) {
  int64_t qkv = 0, attention = 0, gate_up = 0;  // widths: those of the widest layer
  bool norms_behind = false;
  for (const LayerSpec& layer : spec.layers) {
    qkv = std::max(qkv, layer.attention.q_width() + 2 * layer.attention.kv_width());
    attention = std::max(attention, layer.attention.q_width());
    gate_up = std::max(gate_up, UpWidth(layer.ffn));
    norms_behind |= layer.post_attention_norm.has_value() || layer.post_ffn_norm.has_value();
  }
  hidden_ = MakeScratch(limits.rows, spec.hidden_size);
  qkv_ = MakeScratch(limits.rows, qkv);
  attention_ = MakeScratch(limits.rows, attention);
  gate_up_ = MakeScratch(limits.rows, gate_up);
  update_ = MakeScratch(norms_behind ? limits.rows : 0, spec.hidden_size);
  gathered_ = MakeScratch(limits.rows, spec.hidden_size);
  logits_ = MakeScratch(std::min(limits.rows, kHeadRows), spec.vocab_size);
  for (const RopeSpec& rope : spec.ropes) {
    ropes_.push_back(UploadValues<float>(backend, RopeTableValues(rope, limits.positions)));
  }
}

Transformer::Scratch Transformer::MakeScratch(int64_t rows, int64_t cols) {
  Scratch scratch;
  const int64_t bytes = rows * cols * DTypeSize(backend_.hidden_dtype());
  scratch.buffer = backend_.Allocate(static_cast<size_t>(bytes));
  scratch.tensor = {.data = scratch.buffer.data(), .rows = rows, .cols = cols, .stride = cols};
  return scratch;
}

void Transformer::SetEmbedding(const TensorView& embedding, const TensorView* positions) {
  const auto upload = [this](const TensorView& table) {
    return UploadValues<std::byte>(backend_,
                                   std::span(table.data, static_cast<size_t>(table.bytes())));
  };
  ATOM_CHECK((positions != nullptr) == spec_.embedding.learned_positions, "learned positions");
  embedding_dtype_ = embedding.dtype;
  embedding_ = upload(embedding);
  if (positions == nullptr) return;
  ATOM_CHECK(positions->dtype == embedding.dtype, "tables of two types");
  positions_ = upload(*positions);
}

void Transformer::SetHead(std::span<const float> norm, std::span<const float> norm_bias,
                          const TensorView& head) {
  final_norm_ = NormWeights(backend_, spec_.head.norm, norm, norm_bias);
  head_ = backend_.PrepackDense(head, {});
}

void Transformer::AddLayer(const artifact::HostLayer& host) {
  layers_.emplace_back(backend_, spec_.layer(layers()), host);
}

KvCache Transformer::MakeKvCache(int64_t positions) {
  std::vector<kernels::KvPageLayout> layouts;
  layouts.reserve(layers_.size());
  for (const DeviceLayer& layer : layers_) {
    layouts.push_back({.format = layer.kv_format(),
                       .kv_heads = layer.spec.attention.kv_heads,
                       .head_dim = layer.spec.attention.head_dim});
  }
  return KvCache(backend_, layouts, PagesFor(positions));
}

PackedActivation& Transformer::Activation(const quant::ActivationFormat& format, int64_t k) {
  for (const auto& activation : activations_) {
    if (activation->k() == k && activation->format() == format) return *activation;
  }
  activations_.push_back(backend_.MakeActivation(format, k, limits_.rows));
  return *activations_.back();
}

void Transformer::BeginStep(const kernels::Batch& batch) {
  ATOM_CHECK(batch.rows() <= limits_.rows, "{} rows, room for {}", batch.rows(), limits_.rows);
  for (const int32_t position : batch.positions) {
    ATOM_CHECK(position < limits_.positions, "position {}, room for {}", position,
               limits_.positions);
  }
  batch_ = &batch;
  backend_.BeginStep(batch);
}

DeviceTensor Transformer::Embed() {
  const DeviceTensor hidden = RowRange(backend_, hidden_.tensor, 0, batch_->rows());
  backend_.Embed({.table = &embedding_,
                  .dtype = embedding_dtype_,
                  .scale = static_cast<float>(spec_.embedding.scale),
                  .positions = spec_.embedding.learned_positions ? &positions_ : nullptr,
                  .position_offset = spec_.embedding.position_offset},
                 hidden);
  return hidden;
}

void Transformer::RunLayer(const DeviceLayer& layer, kernels::KvLayer& kv,
                           const DeviceTensor& hidden, SiteObserver* observer) {
  RunAttention(layer, kv, hidden, observer);
  RunFfn(layer, hidden, observer);
}

DeviceTensor Transformer::Part(const Scratch& scratch, int64_t rows, int64_t cols) const {
  DeviceTensor part = RowRange(backend_, scratch.tensor, 0, rows);
  ATOM_CHECK(cols <= part.cols, "{} columns of {}", cols, part.cols);
  part.cols = cols;
  return part;
}

kernels::RopeTable Transformer::Rope(const AttentionSpec& attention) const {
  if (!attention.rope) return {};
  return {.table = &ropes_.at(*attention.rope),
          .positions = limits_.positions,
          .rotary_dim = spec_.ropes.at(*attention.rope).rotary_dim};
}

void Transformer::Multiply(const DeviceSite& site, const PackedActivation& x,
                           const DeviceTensor& y) {
  backend_.Linear(x, site.readers, y, OutputMode::kOverwrite);
}

void Transformer::AddToResidual(const DeviceSite& site, const PackedActivation& x,
                                const std::optional<NormWeights>& norm,
                                const DeviceTensor& hidden) {
  if (!norm) return backend_.Linear(x, site.readers, hidden, OutputMode::kAdd);
  const DeviceTensor update = Part(update_, hidden.rows, hidden.cols);
  Multiply(site, x, update);
  backend_.NormAdd(update, norm->Use(), hidden);
}

void Transformer::RunAttention(const DeviceLayer& layer, kernels::KvLayer& kv,
                               const DeviceTensor& hidden, SiteObserver* observer) {
  const AttentionSpec& spec = layer.spec.attention;
  const kernels::AttentionShape shape = spec.Shape();
  const DeviceTensor qkv = Part(qkv_, hidden.rows, spec.q_width() + 2 * spec.kv_width());
  const DeviceTensor attended = Part(attention_, hidden.rows, spec.q_width());

  PackedActivation& x = Activation(layer.qkv.format, layer.qkv.width);
  backend_.NormQuantize(hidden, layer.input_norm.Use(), layer.qkv.gather(), x);
  if (observer != nullptr) observer->OnSite(layer.qkv.name, x);
  Multiply(layer.qkv, x, qkv);

  backend_.RopeAppendKv(qkv, shape, layer.head_norms(), Rope(spec), kv);
  backend_.Attention(qkv, shape, kv, attended);

  PackedActivation& o = Activation(layer.o.format, layer.o.width);
  backend_.ReorderQuantize(attended, layer.o.gather(), o);
  if (observer != nullptr) observer->OnSite(layer.o.name, o);
  AddToResidual(layer.o, o, layer.post_attention_norm, hidden);
}

void Transformer::RunFfn(const DeviceLayer& layer, const DeviceTensor& hidden,
                         SiteObserver* observer) {
  const FfnSpec& spec = layer.spec.ffn;
  const DeviceTensor gate_up = Part(gate_up_, hidden.rows, UpWidth(spec));

  PackedActivation& x = Activation(layer.gate_up.format, layer.gate_up.width);
  backend_.NormQuantize(hidden, layer.ffn_norm.Use(), layer.gate_up.gather(), x);
  if (observer != nullptr) observer->OnSite(layer.gate_up.name, x);
  Multiply(layer.gate_up, x, gate_up);

  PackedActivation& act = Activation(layer.down.format, layer.down.width);
  backend_.ActivationQuantize(gate_up, spec.activation, spec.gated, act);
  if (observer != nullptr) {
    observer->OnSite(layer.down.name, act);
    if (!observer->wants_output()) return;
  }
  AddToResidual(layer.down, act, layer.post_ffn_norm, hidden);
}

DeviceTensor Transformer::GatherLogitRows(const DeviceTensor& hidden) {
  const auto wanted = static_cast<int64_t>(batch_->logit_rows.size());
  const DeviceTensor rows = RowRange(backend_, gathered_.tensor, 0, wanted);
  backend_.GatherLogitRows(hidden, rows);
  return rows;
}

DeviceTensor Transformer::Head(const DeviceTensor& hidden) {
  ATOM_CHECK(hidden.rows <= logits_.tensor.rows, "{} rows of logits, room for {}", hidden.rows,
             logits_.tensor.rows);
  const DeviceTensor logits = RowRange(backend_, logits_.tensor, 0, hidden.rows);
  PackedActivation& x = Activation(quant::ActivationFormat{}, config_.hidden_size);
  backend_.NormQuantize(hidden,
                        {.weight = &final_norm_, .eps = static_cast<float>(config_.rms_norm_eps)},
                        nullptr, x);
  backend_.Linear(x, *head_, logits, OutputMode::kOverwrite);
  return logits;
}

DeviceTensor Transformer::ForwardHidden(const kernels::Batch& batch, KvCache& cache) {
  BeginStep(batch);
  const DeviceTensor hidden = Embed();
  for (int64_t i = 0; i < layers(); ++i) {
    RunLayer(layers_[static_cast<size_t>(i)], cache.layer(i), hidden, nullptr);
  }
  return hidden;
}

DeviceTensor Transformer::Forward(const kernels::Batch& batch, KvCache& cache) {
  return Head(GatherLogitRows(ForwardHidden(batch, cache)));
}

}  // namespace atom::model
