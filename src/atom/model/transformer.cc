#include "atom/model/transformer.h"

#include <algorithm>
#include <array>

#include "atom/core/check.h"
#include "atom/model/rope.h"

namespace atom::model {

using artifact::EdgeId;
using artifact::LinearId;
using kernels::DeviceTensor;
using kernels::OutputMode;
using kernels::PackedActivation;

namespace {

/// Logits are produced for at most this many rows at once: they are wide.
constexpr int64_t kHeadRows = 256;

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

Transformer::Transformer(kernels::Backend& backend, const ModelConfig& config, const Limits& limits)
    : backend_(backend),
      config_(config),
      limits_(limits),
      attention_shape_{
          .heads = config.num_heads, .kv_heads = config.num_kv_heads, .head_dim = config.head_dim} {
  const int64_t heads = config.num_heads + 2 * config.num_kv_heads;
  hidden_ = MakeScratch(limits.rows, config.hidden_size);
  qkv_ = MakeScratch(limits.rows, heads * config.head_dim);
  attention_ = MakeScratch(limits.rows, config.num_heads * config.head_dim);
  gate_up_ = MakeScratch(limits.rows, 2 * config.intermediate_size);
  gathered_ = MakeScratch(limits.rows, config.hidden_size);
  logits_ = MakeScratch(std::min(limits.rows, kHeadRows), config.vocab_size);
  rope_ = UploadValues<float>(backend, RopeTableValues(config, limits.positions));
}

Transformer::Scratch Transformer::MakeScratch(int64_t rows, int64_t cols) {
  Scratch scratch;
  const int64_t bytes = rows * cols * DTypeSize(backend_.hidden_dtype());
  scratch.buffer = backend_.Allocate(static_cast<size_t>(bytes));
  scratch.tensor = {.data = scratch.buffer.data(), .rows = rows, .cols = cols, .stride = cols};
  return scratch;
}

void Transformer::SetEmbedding(const TensorView& embedding) {
  embedding_dtype_ = embedding.dtype;
  embedding_ = UploadValues<std::byte>(
      backend_, std::span(embedding.data, static_cast<size_t>(embedding.bytes())));
}

void Transformer::SetHead(std::span<const float> norm, const TensorView& head) {
  final_norm_ = UploadValues<float>(backend_, norm);
  head_ = backend_.PrepackDense(head, {});
}

void Transformer::AddLayer(const artifact::HostLayer& host) {
  layers_.emplace_back(backend_, host);
}

KvCache Transformer::MakeKvCache(int64_t positions) {
  std::vector<quant::KvFormat> formats;
  formats.reserve(layers_.size());
  for (const DeviceLayer& layer : layers_) formats.push_back(layer.kv_format());
  return KvCache(backend_, formats, config_.num_kv_heads, config_.head_dim, PagesFor(positions));
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
  backend_.Embed({.table = &embedding_, .dtype = embedding_dtype_}, hidden);
  return hidden;
}

void Transformer::RunLayer(const DeviceLayer& layer, kernels::KvLayer& kv,
                           const DeviceTensor& hidden, EdgeObserver* observer) {
  RunAttention(layer, kv, hidden, observer);
  RunMlp(layer, hidden, observer);
}

void Transformer::Multiply(const DeviceLayer& layer, std::initializer_list<LinearId> ids,
                           const PackedActivation& x, const DeviceTensor& y, OutputMode mode) {
  std::array<const kernels::PackedWeight*, 3> weights{};
  ATOM_CHECK(ids.size() <= weights.size(), "{} linears side by side", ids.size());
  std::transform(ids.begin(), ids.end(), weights.begin(),
                 [&layer](LinearId id) { return &layer.weight(id); });
  backend_.Linear(x, std::span(weights.data(), ids.size()), y, mode);
}

void Transformer::RunAttention(const DeviceLayer& layer, kernels::KvLayer& kv,
                               const DeviceTensor& hidden, EdgeObserver* observer) {
  const int64_t rows = hidden.rows;
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const int64_t q_cols = config_.num_heads * config_.head_dim;
  const DeviceTensor qkv = RowRange(backend_, qkv_.tensor, 0, rows);
  const DeviceTensor attended = RowRange(backend_, attention_.tensor, 0, rows);

  PackedActivation& x = Activation(layer.format(EdgeId::kQkv), config_.hidden_size);
  backend_.NormQuantize(hidden, {.weight = &layer.input_norm(), .eps = eps},
                        layer.permutation(EdgeId::kQkv), x);
  if (observer != nullptr) observer->OnEdge(EdgeId::kQkv, x);
  Multiply(layer, {LinearId::kQ, LinearId::kK, LinearId::kV}, x, qkv, OutputMode::kOverwrite);

  backend_.RopeAppendKv(
      qkv, attention_shape_, {},
      {.table = &rope_, .positions = limits_.positions, .rotary_dim = config_.head_dim}, kv);
  backend_.Attention(qkv, attention_shape_, kv, attended);

  PackedActivation& o = Activation(layer.format(EdgeId::kO), q_cols);
  backend_.ReorderQuantize(attended, layer.permutation(EdgeId::kO), o);
  if (observer != nullptr) observer->OnEdge(EdgeId::kO, o);
  Multiply(layer, {LinearId::kO}, o, hidden, OutputMode::kAdd);
}

void Transformer::RunMlp(const DeviceLayer& layer, const DeviceTensor& hidden,
                         EdgeObserver* observer) {
  const auto eps = static_cast<float>(config_.rms_norm_eps);
  const DeviceTensor gate_up = RowRange(backend_, gate_up_.tensor, 0, hidden.rows);

  PackedActivation& x = Activation(layer.format(EdgeId::kGateUp), config_.hidden_size);
  backend_.NormQuantize(hidden, {.weight = &layer.post_norm(), .eps = eps},
                        layer.permutation(EdgeId::kGateUp), x);
  if (observer != nullptr) observer->OnEdge(EdgeId::kGateUp, x);
  Multiply(layer, {LinearId::kGate, LinearId::kUp}, x, gate_up, OutputMode::kOverwrite);

  PackedActivation& act = Activation(layer.format(EdgeId::kDown), config_.intermediate_size);
  backend_.ActivationQuantize(gate_up, kernels::ActivationFunction::kSilu, /*gated=*/true, act);
  if (observer != nullptr) {
    observer->OnEdge(EdgeId::kDown, act);
    if (!observer->wants_output()) return;
  }
  Multiply(layer, {LinearId::kDown}, act, hidden, OutputMode::kAdd);
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
