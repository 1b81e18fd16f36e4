#include "atom/model/transformer.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/kernels/decode_step.h"
#include "atom/model/rope.h"

namespace atom::model {

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

namespace {

/// The first `cols` columns of `rows` rows.
DeviceTensor Part(const DeviceTensor& tensor, int64_t rows, int64_t cols) {
  DeviceTensor part = RowRange(tensor, 0, rows);
  ATOM_CHECK(cols <= part.cols, "{} columns of {}", cols, part.cols);
  part.cols = cols;
  return part;
}

bool IsDone(const SiteObserver* observer) { return observer != nullptr && observer->done(); }

}  // namespace

Transformer::Transformer(kernels::Backend& backend, const ModelSpec& spec, const Limits& limits)
    : backend_(backend),
      spec_(spec),
      limits_(limits),
      plan_(PlanSteps(spec, WithPadding(backend, limits), backend.kv_page_positions())) {
  const StepTensors tensors = TensorsOf(spec, WithPadding(backend, limits), backend.hidden_dtype());
  hidden_ = MakeScratch(tensors.hidden);
  qkv_ = MakeScratch(tensors.qkv);
  attention_ = MakeScratch(tensors.attention);
  gate_up_ = MakeScratch(tensors.gate_up);
  router_ = MakeScratch(tensors.router);
  expert_up_ = MakeScratch(tensors.expert_up);
  expert_out_ = MakeScratch(tensors.expert_out);
  update_ = MakeScratch(tensors.update);
  gathered_ = MakeScratch(tensors.gathered);
  logits_ = MakeScratch(tensors.logits);
  for (const RopeSpec& rope : spec.ropes) {
    ropes_.push_back(UploadValues<float>(backend, RopeTableValues(rope, limits.positions)));
  }
  for (const kernels::RouterShape& router : RoutersOf(spec)) {
    routings_.push_back(backend.MakeRouting(router, plan_.batch.rows));
  }
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
    const bool there = std::ranges::any_of(activations_, [&](const OwnedActivation& other) {
      return other.room->k() == linear.k && other.rows_per_token == linear.input_rows &&
             ShareActivation(other.room->format(), linear.input);
    });
    if (there) continue;
    activations_.push_back(
        {backend_.MakeActivation(linear.input, linear.k, plan_.batch.rows * linear.input_rows),
         linear.input_rows});
  }
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
                          std::unique_ptr<kernels::PackedWeight> head) {
  if (spec_.head.normalizes) {
    final_norm_ = NormWeights(backend_, spec_.head.norm, norm, norm_bias);
  }
  head_ = std::move(head);
}

void Transformer::AddLayer(const artifact::HostLayer& host) {
  layers_.emplace_back(backend_, spec_.layer(layers()), host);
  Prepare(layers_.back());
}

void Transformer::AddSameLayer(const artifact::HostLayer& host) {
  layers_.emplace_back(DeviceLayer(backend_, spec_.layer(layers()), host, &layers_.back()));
  Prepare(layers_.back());
}

void Transformer::Prepare(const DeviceLayer& layer) {
  const bool more_exact =
      AddExactPages(layer.kv_format().exact_window, limits_, backend_.kv_page_positions(), plan_);
  if (!AddLinears(layer.linears(), plan_) && !more_exact) return;
  MakeActivations(layer.linears());
  backend_.Prepare(plan_);
}

std::vector<kernels::KvShape> Transformer::KvShapes() const {
  std::vector<kernels::KvShape> shapes;
  shapes.reserve(layers_.size());
  for (const DeviceLayer& layer : layers_) {
    const AttentionSpec& attention = layer.spec.attention;
    shapes.push_back({layer.kv_format(), attention.kv_heads, attention.head_dim});
  }
  return shapes;
}

kernels::PagePool Transformer::SequencePool(int64_t positions, int64_t exact_window) const {
  kernels::PagePool pool = {.page_positions = backend_.kv_page_positions(),
                            .exact_window = exact_window};
  pool.pages = kernels::PagesFor(positions, pool.page_positions);
  pool.exact_pages = kernels::ExactPagesOfStep(pool, limits_.rows, 1);
  return pool;
}

KvCache Transformer::MakeKvCache(int64_t positions) {
  const std::vector<kernels::KvShape> shapes = KvShapes();
  return KvCache(backend_, shapes, SequencePool(positions, ExactWindowOf(shapes)));
}

kernels::Batch Transformer::OneSequence(std::vector<int32_t> tokens, int64_t start) const {
  return kernels::SingleSequence(std::move(tokens), start,
                                 SequencePool(limits_.positions, ExactWindowOf(KvShapes())));
}

PackedActivation& Transformer::Activation(const quant::ActivationFormat& format, int64_t k,
                                          int64_t rows_per_token) {
  const auto found = std::ranges::find_if(activations_, [&](const OwnedActivation& other) {
    return other.room->k() == k && other.rows_per_token == rows_per_token &&
           ShareActivation(other.room->format(), format);
  });
  ATOM_CHECK(found != activations_.end(), "a layer that was not prepared: {} columns, {} bits", k,
             format.bits);
  found->room->set_clip(format.clip);
  return *found->room;
}

kernels::ExpertRouting& Transformer::Routing(const kernels::RouterShape& shape) {
  const auto found = std::ranges::find_if(routings_, [&](const auto& routing) {
    return routing->experts() == shape.experts && routing->top_k() == shape.top_k;
  });
  ATOM_CHECK(found != routings_.end(), "a router of {} experts that no layer has", shape.experts);
  return **found;
}

void Transformer::BeginStep(const kernels::Batch& batch, const kernels::PagePool& pool) {
  kernels::CheckBatch(batch, pool);
  decodes_ = kernels::Decodes(batch);
  step_rows_ = Padded(batch.rows());
  logit_rows_ = std::ssize(batch.logit_rows);
  ATOM_CHECK(batch.rows() <= limits_.rows, "{} rows, room for {}", batch.rows(), limits_.rows);
  for (const int32_t length : batch.kv_lengths) {
    ATOM_CHECK(length <= limits_.positions, "{} positions, room for {}", length, limits_.positions);
  }
  backend_.BeginStep(batch);
}

int64_t Transformer::Padded(int64_t rows) const {
  return decodes_ ? backend_.RowBucket(rows) : rows;
}

DeviceTensor Transformer::Embed() {
  const DeviceTensor hidden = RowRange(hidden_.tensor, 0, step_rows_);
  backend_.Embed({.table = &embedding_,
                  .dtype = embedding_dtype_,
                  .scale = static_cast<float>(spec_.embedding.scale),
                  .positions = spec_.embedding.learned_positions ? &positions_ : nullptr,
                  .position_offset = spec_.embedding.position_offset},
                 hidden);
  return hidden;
}

void Transformer::RunLayer(const DeviceLayer& layer, kernels::KvLayer& kv,
                           const DeviceTensor& hidden, SiteObserver* observer, LayerPart part) {
  if (part != LayerPart::kFfn) {
    RunAttention(layer, kv, hidden, observer);
    if (IsDone(observer)) return;  // of this run: it may still say so of the one before
  }
  if (part != LayerPart::kAttention) RunFfn(layer, hidden, observer);
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

void Transformer::QuantizeHidden(const DeviceTensor& hidden, const DeviceLayer& layer,
                                 const NormWeights& norm, const DeviceSite& site,
                                 PackedActivation& x) {
  if (layer.spec.norms_behind_sums) return backend_.ReorderQuantize(hidden, site.gather(), x);
  backend_.NormQuantize(hidden, norm.Use(), site.gather(), x);
}

void Transformer::AddToResidual(const DeviceSite& site, const PackedActivation& x,
                                const std::optional<NormWeights>& norm,
                                const DeviceTensor& hidden) {
  if (!norm) return backend_.Linear(x, site.readers, hidden, OutputMode::kAdd);
  const DeviceTensor update = Part(update_.tensor, hidden.rows, hidden.cols);
  Multiply(site, x, update);
  backend_.NormAdd(update, norm->Use(), hidden);
}

void Transformer::RunAttention(const DeviceLayer& layer, kernels::KvLayer& kv,
                               const DeviceTensor& hidden, SiteObserver* observer) {
  const AttentionSpec& spec = layer.spec.attention;
  const kernels::AttentionShape shape = spec.Shape();
  const DeviceTensor qkv = Part(qkv_.tensor, hidden.rows, spec.q_width() + 2 * spec.kv_width());
  const DeviceTensor attended = Part(attention_.tensor, hidden.rows, spec.q_width());

  PackedActivation& x = Activation(layer.qkv.format, layer.qkv.width);
  QuantizeHidden(hidden, layer, layer.input_norm, layer.qkv, x);
  if (observer != nullptr) observer->OnSite(layer.qkv.name, x);
  if (IsDone(observer)) return;
  Multiply(layer.qkv, x, qkv);

  backend_.RopeAppendKv(qkv, shape, layer.head_norms(), Rope(spec), kv);
  if (observer != nullptr) observer->OnKv(qkv, kv);
  if (IsDone(observer)) return;
  backend_.Attention(qkv, shape, kv, attended);

  PackedActivation& o = Activation(layer.o.format, layer.o.width);
  backend_.ReorderQuantize(attended, layer.o.gather(), o);
  if (observer != nullptr) observer->OnSite(layer.o.name, o);
  if (IsDone(observer)) return;
  AddToResidual(layer.o, o, layer.post_attention_norm, hidden);
  if (layer.spec.norms_behind_sums) backend_.Norm(hidden, layer.input_norm.Use(), hidden);
}

void Transformer::RunFfn(const DeviceLayer& layer, const DeviceTensor& hidden,
                         SiteObserver* observer) {
  const FfnSpec& spec = layer.spec.ffn;
  if (spec.moe) return RunMixture(layer, hidden, observer);
  const DeviceTensor gate_up = Part(gate_up_.tensor, hidden.rows, spec.up_width());

  PackedActivation& x = Activation(layer.gate_up.format, layer.gate_up.width);
  QuantizeHidden(hidden, layer, layer.ffn_norm, layer.gate_up, x);
  if (observer != nullptr) observer->OnSite(layer.gate_up.name, x);
  if (IsDone(observer)) return;
  Multiply(layer.gate_up, x, gate_up);

  PackedActivation& act = Activation(layer.down.format, layer.down.width);
  backend_.ActivationQuantize(gate_up, spec.activation, spec.gated, act);
  if (observer != nullptr) observer->OnSite(layer.down.name, act);
  if (IsDone(observer)) return;
  AddToResidual(layer.down, act, layer.post_ffn_norm, hidden);
  if (layer.spec.norms_behind_sums) backend_.Norm(hidden, layer.ffn_norm.Use(), hidden);
}

kernels::ExpertRouting& Transformer::Route(const DeviceLayer& layer, const DeviceTensor& hidden) {
  const kernels::RouterShape shape = layer.spec.ffn.moe->Router();
  const DeviceTensor logits = Part(router_.tensor, hidden.rows, shape.experts);
  PackedActivation& x = Activation(quant::ActivationFormat{}, hidden.cols);
  backend_.NormQuantize(hidden, layer.ffn_norm.Use(), nullptr, x);
  backend_.Linear(x, *layer.router, logits, OutputMode::kOverwrite);
  kernels::ExpertRouting& routing = Routing(shape);
  backend_.Route(logits, shape, routing);
  return routing;
}

void Transformer::RunMixture(const DeviceLayer& layer, const DeviceTensor& hidden,
                             SiteObserver* observer) {
  const FfnSpec& spec = layer.spec.ffn;
  const int64_t pairs = hidden.rows * spec.moe->top_k;
  const DeviceTensor gate_up = Part(expert_up_.tensor, pairs, spec.up_width());
  const DeviceTensor out = Part(expert_out_.tensor, pairs, hidden.cols);
  const kernels::ExpertRouting& routing = Route(layer, hidden);

  PackedActivation& x = Activation(layer.gate_up.format, layer.gate_up.width);
  backend_.NormQuantize(hidden, layer.ffn_norm.Use(), layer.gate_up.gather(), x);
  if (observer != nullptr) observer->OnSite(layer.gate_up.name, x);
  if (IsDone(observer)) return;
  backend_.GroupedLinear(x, routing, layer.gate_up.readers, gate_up);

  PackedActivation& act = Activation(layer.down.format, layer.down.width, spec.moe->top_k);
  backend_.ActivationQuantize(gate_up, spec.activation, spec.gated, act);
  if (observer != nullptr) observer->OnExperts(layer.down.name.role, act, routing);
  if (IsDone(observer)) return;
  backend_.GroupedLinear(act, routing, layer.down.readers, out);
  if (!layer.post_ffn_norm) return backend_.Combine(out, routing, hidden, OutputMode::kAdd);
  const DeviceTensor update = Part(update_.tensor, hidden.rows, hidden.cols);
  backend_.Combine(out, routing, update, OutputMode::kOverwrite);
  backend_.NormAdd(update, layer.post_ffn_norm->Use(), hidden);
}

DeviceTensor Transformer::GatherLogitRows(const DeviceTensor& hidden) {
  const DeviceTensor rows = RowRange(gathered_.tensor, 0, Padded(logit_rows_));
  backend_.GatherLogitRows(hidden, rows);
  return RowRange(rows, 0, logit_rows_);
}

DeviceTensor Transformer::Head(const DeviceTensor& hidden) {
  ATOM_CHECK(hidden.rows <= logits_.tensor.rows, "{} rows of logits, room for {}", hidden.rows,
             logits_.tensor.rows);
  DeviceTensor padded = hidden;  // GatherLogitRows left rows behind them
  padded.rows = Padded(hidden.rows);
  const DeviceTensor logits = RowRange(logits_.tensor, 0, padded.rows);
  PackedActivation& x = Activation(quant::ActivationFormat{}, spec_.hidden_size);
  if (spec_.head.normalizes) {
    backend_.NormQuantize(padded, final_norm_.Use(), nullptr, x);
  } else {
    backend_.ReorderQuantize(padded, nullptr, x);
  }
  backend_.Linear(x, *head_, logits, OutputMode::kOverwrite);
  if (spec_.head.softcap != 0.0) {
    backend_.Softcap(logits, static_cast<float>(spec_.head.softcap));
  }
  return RowRange(logits, 0, hidden.rows);
}

DeviceTensor Transformer::ForwardHidden(const kernels::Batch& batch, KvCache& cache,
                                        const AfterLayer& after_layer) {
  BeginStep(batch, cache.pool());
  const DeviceTensor hidden = Embed();
  if (after_layer) after_layer(-1, hidden);
  for (int64_t i = 0; i < layers(); ++i) {
    RunLayer(layers_[static_cast<size_t>(i)], cache.layer(i), hidden, nullptr);
    if (after_layer) after_layer(i, hidden);
  }
  return hidden;
}

DeviceTensor Transformer::Forward(const kernels::Batch& batch, KvCache& cache) {
  return Head(GatherLogitRows(ForwardHidden(batch, cache)));
}

}  // namespace atom::model
