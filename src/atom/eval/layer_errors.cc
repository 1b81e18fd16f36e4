#include "atom/eval/layer_errors.h"

#include <cmath>
#include <memory>

#include "atom/core/check.h"
#include "atom/quant/hadamard.h"
#include "atom/quant/head_hadamard.h"

namespace atom::eval {
namespace {

using kernels::DeviceTensor;

/// What one layer of one model does to a window, in the unquantized model's order of channels.
struct LayerTrace {
  std::vector<std::pair<artifact::SiteName, std::vector<float>>> sites;
  std::vector<float> after_attention;
  std::vector<float> after_ffn;
};

std::vector<float> Download(kernels::Backend& backend, const DeviceTensor& tensor, int64_t rows) {
  const int64_t count = rows * tensor.cols;
  std::vector<std::byte> bytes(static_cast<size_t>(count * DTypeSize(tensor.dtype)));
  backend.Download(tensor.data, bytes);
  return ToFloats({.dtype = tensor.dtype, .shape = {rows, tensor.cols}, .data = bytes.data()});
}

/// Takes down a layer's trace while it runs.
class TraceObserver : public model::SiteObserver {
 public:
  TraceObserver(kernels::Backend& backend, const artifact::HostLayer& layer, int64_t head_dim,
                const DeviceTensor& hidden, int64_t rows, LayerTrace& trace)
      : backend_(backend),
        layer_(layer),
        head_dim_(head_dim),
        hidden_(hidden),
        rows_(rows),
        trace_(trace) {}

  void OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) override {
    // The FFN's first site is read from the stream that attention left.
    if (site.role == artifact::SiteRole::kGateUp && trace_.after_attention.empty()) {
      trace_.after_attention = Download(backend_, hidden_, rows_);
    }
    std::vector<float> x = backend_.Unpack(input).dense;
    x.resize(static_cast<size_t>(rows_ * input.k()));
    const quant::ActivationFormat& format = layer_[site].format;
    quant::RotateColumns(format.hadamard, input.k() - format.outlier_columns, rows_, x);
    const quant::Permutation& permutation = layer_[site].permutation;
    if (!permutation.empty()) permutation.Inverse().PermuteColumns(x, rows_);
    if (site.role == artifact::SiteRole::kO && layer_.kv.hadamard) {
      quant::RotateHeadColumnsBack(head_dim_, x);
    }
    trace_.sites.emplace_back(site, std::move(x));
  }

 private:
  kernels::Backend& backend_;
  const artifact::HostLayer& layer_;
  int64_t head_dim_;
  const DeviceTensor& hidden_;
  int64_t rows_;
  LayerTrace& trace_;
};

/// One model on its way through the window.
class TracedModel {
 public:
  static Result<std::unique_ptr<TracedModel>> Begin(const model::ModelFiles& files,
                                                    const model::LoadOptions& options,
                                                    kernels::Backend& backend,
                                                    const std::vector<int32_t>& window) {
    const auto rows = static_cast<int64_t>(window.size());
    auto traced = std::unique_ptr<TracedModel>(new TracedModel(files, options, backend, rows));
    const Status outer = model::LoadOuterWeights(files, options, traced->transformer_);
    if (!outer.ok()) return outer.error();
    traced->window_ = window;
    traced->BeginStep(0);
    traced->hidden_ = traced->transformer_.Embed();
    return traced;
  }

  Result<LayerTrace> RunLayer(int64_t index) {
    Result<artifact::HostLayer> host = files_.ReadLayer(index);
    if (!host.ok()) return host.error();
    if (files_.quantization.has_value()) {
      model::MakeFakeQuantized(*host);
    } else {
      model::ConvertDtype(options_, *host);
    }
    const model::DeviceLayer layer(backend_, files_.spec.layer(index), *host);
    transformer_.Prepare(layer);
    const model::AttentionSpec& attention = layer.spec.attention;
    const int64_t exact_window = layer.kv_format().exact_window;
    const std::unique_ptr<kernels::KvLayer> kv =
        backend_.MakeKvLayer({layer.kv_format(), attention.kv_heads, attention.head_dim},
                             transformer_.SequencePool(rows(), exact_window));
    LayerTrace trace;
    TraceObserver observer(backend_, *host, attention.head_dim, hidden_, rows(), trace);
    BeginStep(exact_window);
    transformer_.RunLayer(layer, *kv, hidden_, &observer);
    trace.after_ffn = Download(backend_, hidden_, rows());
    return trace;
  }

 private:
  TracedModel(const model::ModelFiles& files, const model::LoadOptions& options,
              kernels::Backend& backend, int64_t rows)
      : files_(files),
        options_(options),
        backend_(backend),
        transformer_(backend, files.spec, {.rows = rows, .positions = rows}) {}

  int64_t rows() const { return std::ssize(window_); }
  void BeginStep(int64_t exact_window) {
    const kernels::PagePool pool = transformer_.SequencePool(rows(), exact_window);
    transformer_.BeginStep(kernels::SingleSequence(window_, 0, pool), pool);
  }

  const model::ModelFiles& files_;
  model::LoadOptions options_;
  kernels::Backend& backend_;
  model::Transformer transformer_;
  std::vector<int32_t> window_;
  DeviceTensor hidden_;  // between layers it stays where it is
};

LayerError Compare(const LayerTrace& baseline, const LayerTrace& model, int64_t hidden) {
  LayerError error{
      .after_attention = RelativeError(baseline.after_attention, model.after_attention, hidden),
      .after_ffn = RelativeError(baseline.after_ffn, model.after_ffn, hidden),
      .sites = {}};
  const int64_t rows = std::ssize(baseline.after_ffn) / hidden;
  for (size_t i = 0; i < baseline.sites.size(); ++i) {
    const auto& [name, values] = baseline.sites[i];
    error.sites.emplace_back(
        artifact::ToString(name),
        RelativeError(values, model.sites.at(i).second, std::ssize(values) / rows));
  }
  return error;
}

}  // namespace

double RelativeError(std::span<const float> baseline, std::span<const float> values,
                     int64_t width) {
  ATOM_CHECK(baseline.size() == values.size() && width > 0, "{} values beside {}", values.size(),
             baseline.size());
  double sum = 0.0;
  int64_t rows = 0;
  for (size_t begin = 0; begin < baseline.size(); begin += static_cast<size_t>(width)) {
    double error = 0.0;
    double energy = 0.0;
    for (size_t i = begin; i < begin + static_cast<size_t>(width); ++i) {
      const double difference = double{values[i]} - double{baseline[i]};
      error += difference * difference;
      energy += double{baseline[i]} * double{baseline[i]};
    }
    if (energy == 0.0) continue;
    sum += error / energy;
    ++rows;
  }
  return rows == 0 ? 0.0 : std::sqrt(sum / static_cast<double>(rows));
}

Result<std::vector<std::vector<LayerError>>> MeasureLayerErrors(
    std::span<const model::ModelFiles* const> models, const model::LoadOptions& options,
    kernels::Backend& backend, const std::vector<int32_t>& window, Progress* progress) {
  const model::ModelSpec& spec = models.front()->spec;
  std::vector<std::unique_ptr<TracedModel>> traced;
  for (const model::ModelFiles* files : models) {
    if (files->spec.num_layers() != spec.num_layers() ||
        files->spec.hidden_size != spec.hidden_size) {
      return MakeError("{}: {} layers of {} channels, expected {} of {} as the baseline has",
                       files->checkpoint.dir().string(), files->spec.num_layers(),
                       files->spec.hidden_size, spec.num_layers(), spec.hidden_size);
    }
    Result<std::unique_ptr<TracedModel>> begun =
        TracedModel::Begin(*files, options, backend, window);
    if (!begun.ok()) return begun.error();
    traced.push_back(std::move(begun).value());
  }
  std::vector<std::vector<LayerError>> errors(models.size() - 1);
  for (int64_t i = 0; i < spec.num_layers(); ++i) {
    const Result<LayerTrace> baseline = traced.front()->RunLayer(i);
    if (!baseline.ok()) return baseline.error();
    for (size_t m = 1; m < traced.size(); ++m) {
      const Result<LayerTrace> trace = traced[m]->RunLayer(i);
      if (!trace.ok()) return trace.error();
      errors[m - 1].push_back(Compare(*baseline, *trace, spec.hidden_size));
    }
    if (progress != nullptr) progress->Advance();
  }
  return errors;
}

}  // namespace atom::eval
