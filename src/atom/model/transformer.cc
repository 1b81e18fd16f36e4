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

DeviceTensor RowRange(const DeviceTensor& tensor, int64_t first, int64_t count) {
  ATOM_CHECK(first >= 0 && count >= 0 && first + count <= tensor.rows, "rows [{}, +{}) of {}",
             first, count, tensor.rows);
  DeviceTensor range = tensor;
  range.data =
      static_cast<std::byte*>(tensor.data) + first * tensor.stride * DTypeSize(tensor.dtype);
  range.rows = count;
  return range;
}

Transformer::Transformer(kernels::Backend& backend, const ModelConfig& config, const Limits& limits)
    : backend_(backend),
      config_(config),
      limits_(limits),
      attention_shape_{
          .heads = config.num_heads, .kv_heads = config.num_kv_heads, .head_dim = config.head_dim},
      plan_(PlanSteps(config, limits, backend.kv_page_positions())) {
  const StepTensors tensors = TensorsOf(config, limits, backend.hidden_dtype());
  hidden_ = MakeScratch(tensors.hidden);
  qkv_ = MakeScratch(tensors.qkv);
  attention_ = MakeScratch(tensors.attention);
  gate_up_ = MakeScratch(tensors.gate_up);
  gathered_ = MakeScratch(tensors.gathered);
  logits_ = MakeScratch(tensors.logits);
  rope_ = UploadValues<float>(backend, RopeTableValues(config, limits.positions));
  MakeActivations(plan_.linears);
  backend.Prepare(plan_);
}

Transformer::Scratch Transformer::MakeScratch(const TensorShape& shape) {
  Scratch scratch;
  scratch.buffer = backend_.Allocate(static_cast<size_t>(shape.bytes()));
  scratch.tensor = {.data = scratch.buffer.data(),
                    .rows = shape.rows,
                    .cols = shape.cols,
                    .stride = shape.cols,
                    .dtype = shape.dtype};
  return scratch;
}

void Transformer::MakeActivations(std::span<const kernels::LinearPlan> linears) {
  for (const kernels::LinearPlan& linear : linears) {
    const bool there = std::ranges::any_of(activations_, [&](const auto& activation) {
      return activation->k() == linear.k && ShareActivation(activation->format(), linear.input);
    });
    if (there) continue;
    activations_.push_back(backend_.MakeActivation(linear.input, linear.k, limits_.rows));
  }
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
  Prepare(layers_.back());
}

void Transformer::Prepare(const DeviceLayer& layer) {
  if (!AddLinears(layer.linears(), plan_)) return;
  MakeActivations(layer.linears());
  backend_.Prepare(plan_);
}

std::vector<kernels::KvShape> Transformer::KvShapes() const {
  std::vector<kernels::KvShape> shapes;
  shapes.reserve(layers_.size());
  for (const DeviceLayer& layer : layers_) {
    shapes.push_back({layer.kv_format(), config_.num_kv_heads, config_.head_dim});
  }
  return shapes;
}

KvCache Transformer::MakeKvCache(int64_t positions) {
  return KvCache(backend_, KvShapes(), kernels::PagesFor(positions, backend_.kv_page_positions()));
}

kernels::Batch Transformer::OneSequence(std::vector<int32_t> tokens, int64_t start) const {
  return kernels::SingleSequence(std::move(tokens), start, backend_.kv_page_positions());
}

PackedActivation& Transformer::Activation(const quant::ActivationFormat& format, int64_t k) {
  const auto found = std::ranges::find_if(activations_, [&](const auto& activation) {
    return activation->k() == k && ShareActivation(activation->format(), format);
  });
  ATOM_CHECK(found != activations_.end(), "a layer that was not prepared: {} columns, {} bits", k,
             format.bits);
  (*found)->set_clip(format.clip);
  return **found;
}

void Transformer::BeginStep(const kernels::Batch& batch, const kernels::PagePool& pool) {
  kernels::CheckBatch(batch, pool);
  step_rows_ = backend_.RowBucket(batch.rows());
  logit_rows_ = std::ssize(batch.logit_rows);
  ATOM_CHECK(step_rows_ <= limits_.rows, "{} rows, room for {}", step_rows_, limits_.rows);
  for (const int32_t length : batch.kv_lengths) {
    ATOM_CHECK(length <= limits_.positions, "{} positions, room for {}", length, limits_.positions);
  }
  backend_.BeginStep(batch);
}

DeviceTensor Transformer::Embed() {
  const DeviceTensor hidden = RowRange(hidden_.tensor, 0, step_rows_);
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
  const DeviceTensor qkv = RowRange(qkv_.tensor, 0, rows);
  const DeviceTensor attended = RowRange(attention_.tensor, 0, rows);

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
  const DeviceTensor gate_up = RowRange(gate_up_.tensor, 0, hidden.rows);

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
  const DeviceTensor rows = RowRange(gathered_.tensor, 0, logit_rows_);
  backend_.GatherLogitRows(hidden, rows);
  return rows;
}

DeviceTensor Transformer::Head(const DeviceTensor& hidden) {
  ATOM_CHECK(hidden.rows <= logits_.tensor.rows, "{} rows of logits, room for {}", hidden.rows,
             logits_.tensor.rows);
  const DeviceTensor logits = RowRange(logits_.tensor, 0, hidden.rows);
  PackedActivation& x = Activation(quant::ActivationFormat{}, config_.hidden_size);
  backend_.NormQuantize(hidden,
                        {.weight = &final_norm_, .eps = static_cast<float>(config_.rms_norm_eps)},
                        nullptr, x);
  backend_.Linear(x, *head_, logits, OutputMode::kOverwrite);
  return logits;
}

DeviceTensor Transformer::ForwardHidden(const kernels::Batch& batch, KvCache& cache) {
  BeginStep(batch, cache.pool());
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
