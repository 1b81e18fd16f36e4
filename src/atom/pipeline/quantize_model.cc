#include "atom/pipeline/quantize_model.h"

#include <algorithm>

#include "atom/io/json.h"
#include "atom/model/weights.h"
#include "atom/pipeline/layer_report.h"
#include "atom/pipeline/quantize_layer.h"

namespace atom::pipeline {
namespace {

/// Windows on which a layer's own error is measured.
constexpr int64_t kReportSamples = 4;

std::unique_ptr<model::Transformer> MakeTransformer(const model::ModelFiles& files,
                                                    const Calibration& calibration,
                                                    kernels::Backend& backend) {
  const int64_t length = calibration.record.sequence_length;
  return std::make_unique<model::Transformer>(
      backend, files.spec, model::Transformer::Limits{.rows = length, .positions = length});
}

Result<CalibrationStream> MakeStream(const model::ModelFiles& files, const Calibration& calibration,
                                     const QuantizeOptions& options, int64_t samples,
                                     model::Transformer& transformer) {
  Result<HiddenStore> store =
      HiddenStore::Create(samples, calibration.record.sequence_length, files.spec.hidden_size,
                          options.memory_limit, options.spill_folder);
  if (!store.ok()) return store.error();
  return CalibrationStream(transformer, calibration.windows, std::move(store).value());
}

/// Runs over the layers one by one; holds what they share.
class ModelQuantizer {
 public:
  ModelQuantizer(const model::ModelFiles& files, const QuantizeOptions& options,
                 quant::DenseAlgebra& algebra, model::Transformer& transformer,
                 CalibrationStream& stream, LayerSink& sink)
      : files_(files),
        options_(options),
        transformer_(transformer),
        stream_(stream),
        sink_(sink),
        algebra_(algebra),
        progress_("quantizing", files.spec.num_layers() * StepsPerLayer() - stream.samples() +
                                    Propagated(files.spec.num_layers() - 1)) {}

  Result<QuantizeReport> Run(const std::vector<LayerPermutations>& plan) {
    stream_.EmbedAll(nullptr);
    for (int64_t i = 0; i < files_.spec.num_layers(); ++i) {
      Status status = i < sink_.finished_layers() ? Replay(i) : Quantize(i, plan);
      if (!status.ok()) return status.error();
    }
    FinishReport(files_, report_);
    return report_;
  }

 private:
  int64_t StepsPerLayer() const {
    return stream_.samples() * (NeedsHessian(options_.recipe) ? 2 : 1);
  }

  /// Samples that go through the quantized layer: all, as the next layer's input; nothing reads
  /// the last layer's output but the report.
  int64_t Propagated(int64_t layer) const {
    const bool last = layer + 1 == files_.spec.num_layers();
    return last ? std::min(kReportSamples, stream_.samples()) : stream_.samples();
  }

  /// A layer of an earlier run: only feed the stream through it.
  Status Replay(int64_t i) {
    const Result<std::optional<std::string>> state = sink_.ReadState(StateName(i));
    if (!state.ok()) return state.error();
    if (!state->has_value()) return MakeError("layer {} is finished but has no report", i);
    Result<LayerReport> report = ParseLayerReport(**state);
    if (!report.ok()) return report.error();
    report_.layers.push_back(std::move(report).value());
    const Result<artifact::HostLayer> host =
        sink_.ReadLayer(i, model::ShapeOfLayer(files_.spec, i), Config());
    if (!host.ok()) return host.error();
    const model::DeviceLayer device = OnDevice(files_.spec.layer(i), *host);
    stream_.RunLayer(device, Propagated(i), CalibrationStream::Keep::kOutput, nullptr, nullptr,
                     &progress_);
    return {};
  }

  Status Quantize(int64_t i, const std::vector<LayerPermutations>& plan) {
    const Result<artifact::HostLayer> source = files_.ReadLayer(i);
    if (!source.ok()) return source.error();
    const artifact::LayerShape shape = model::ShapeOfLayer(files_.spec, i);
    const LayerContext context{.recipe = options_.recipe,
                               .spec = files_.spec.layer(i),
                               .shape = shape,
                               .simulated = options_.simulated,
                               .algebra = algebra_,
                               .transformer = transformer_,
                               .stream = stream_};
    Result<LayerResult> result =
        QuantizeLayer(context, *source, plan[static_cast<size_t>(i)], &progress_);
    if (!result.ok()) return MakeError("layer {}: {}", i, result.error().message);
    LayerReport report{.linear_error = result->linear_error,
                       .damping = result->damping,
                       .clips = result->clips,
                       .hadamard = HadamardWidths(options_.recipe, shape),
                       .bits_per_weight = LayerBitsPerWeight(options_.recipe, result->host)};
    report.error = Propagate(files_.spec.layer(i), *source, result->host, Propagated(i));
    if (Status s = sink_.WriteState(StateName(i), DumpLayerReport(report)); !s.ok()) return s;
    report_.layers.push_back(report);
    return sink_.WriteLayer(i, std::move(result->host));
  }

  /// Moves the stream's first `samples` to the layer's output; returns the layer's own relative
  /// error.
  double Propagate(const model::LayerSpec& spec, const artifact::HostLayer& source,
                   const artifact::HostLayer& quantized, int64_t samples) {
    const int64_t measured = std::min(kReportSamples, stream_.samples());
    std::vector<std::vector<float>> expected;
    stream_.RunLayer(
        model::DeviceLayer(transformer_.backend(), spec, source), measured,
        CalibrationStream::Keep::kInput, nullptr,
        [&](int64_t, std::span<const float>, std::span<const float> output) {
          expected.emplace_back(output.begin(), output.end());
        },
        nullptr);
    double error = 0.0;
    double norm = 0.0;
    stream_.RunLayer(
        OnDevice(spec, quantized), samples, CalibrationStream::Keep::kOutput, nullptr,
        [&](int64_t sample, std::span<const float> input, std::span<const float> output) {
          if (sample >= measured) return;
          const std::vector<float>& want = expected[static_cast<size_t>(sample)];
          for (size_t j = 0; j < output.size(); ++j) {
            const double difference = static_cast<double>(output[j]) - want[j];
            const double update = static_cast<double>(want[j]) - input[j];
            error += difference * difference;
            norm += update * update;
          }
        },
        &progress_);
    return norm > 0.0 ? error / norm : 0.0;
  }

  /// A quantized layer as the backend can run it.
  model::DeviceLayer OnDevice(const model::LayerSpec& spec, const artifact::HostLayer& layer) {
    kernels::Backend& backend = transformer_.backend();
    const bool simulated = options_.simulated || !quant::HasKernels(options_.recipe);
    const std::vector<quant::Feature> missing = model::MissingKernels(options_.recipe, backend);
    if (simulated || missing.empty()) return {backend, spec, layer};
    return {backend, spec, model::FakeQuantized(missing, layer)};
  }

  artifact::QuantizationConfig Config() const {
    artifact::QuantizationConfig config;
    config.simulated = options_.simulated || !quant::HasKernels(options_.recipe);
    config.recipe = options_.recipe;
    for (const LayerReport& layer : report_.layers) config.layers.push_back(layer.clips);
    return config;
  }

  static std::string StateName(int64_t layer) { return fmt::format("layer-{:05}", layer); }

  const model::ModelFiles& files_;
  const QuantizeOptions& options_;
  model::Transformer& transformer_;
  CalibrationStream& stream_;
  LayerSink& sink_;
  quant::DenseAlgebra& algebra_;
  Progress progress_;
  QuantizeReport report_;
};

/// The plan of an earlier run of the same job, or a new one, saved for the next.
Result<std::vector<LayerPermutations>> ResumablePlan(const model::ModelFiles& files,
                                                     const Calibration& calibration,
                                                     kernels::Backend& backend,
                                                     const QuantizeOptions& options,
                                                     LayerSink& sink) {
  if (options.plan != nullptr) return *options.plan;
  if (!options.recipe.reorder) return MakePlan(files, calibration, backend, options);
  const Result<std::optional<std::string>> saved = sink.ReadState("reorder");
  if (!saved.ok()) return saved.error();
  if (saved->has_value()) return ParsePlan(**saved, files.spec);
  Result<std::vector<LayerPermutations>> plan = MakePlan(files, calibration, backend, options);
  if (!plan.ok()) return plan.error();
  if (Status s = sink.WriteState("reorder", SerializePlan(*plan)); !s.ok()) return s.error();
  return plan;
}

}  // namespace

Result<std::vector<LayerPermutations>> MakePlan(const model::ModelFiles& files,
                                                const Calibration& calibration,
                                                kernels::Backend& backend,
                                                const QuantizeOptions& options) {
  if (!options.recipe.reorder) {
    return std::vector<LayerPermutations>(files.spec.layers.size());
  }
  const auto transformer = MakeTransformer(files, calibration, backend);
  if (Status s = model::LoadOuterWeights(files, DType::kF32, *transformer); !s.ok()) {
    return s.error();
  }
  const auto samples = static_cast<int64_t>(calibration.windows.size());
  Result<CalibrationStream> stream = MakeStream(files, calibration, options, samples, *transformer);
  if (!stream.ok()) return stream.error();
  Progress progress("channel statistics", files.spec.num_layers() * samples);
  return PlanReorder(files, *transformer, *stream, options.recipe.metric, &progress);
}

Result<QuantizeReport> QuantizeModel(const model::ModelFiles& files, const Calibration& calibration,
                                     kernels::Backend& backend, quant::DenseAlgebra& algebra,
                                     const QuantizeOptions& options, LayerSink& sink) {
  const Result<std::vector<LayerPermutations>> plan =
      ResumablePlan(files, calibration, backend, options, sink);
  if (!plan.ok()) return plan.error();
  const auto transformer = MakeTransformer(files, calibration, backend);
  if (Status s = model::LoadOuterWeights(files, DType::kF32, *transformer); !s.ok()) {
    return s.error();
  }
  // Rounding needs no tokens; a few windows still measure each layer's error.
  const auto windows = static_cast<int64_t>(calibration.windows.size());
  const int64_t samples =
      NeedsHessian(options.recipe) ? windows : std::min(windows, kReportSamples);
  Result<CalibrationStream> stream = MakeStream(files, calibration, options, samples, *transformer);
  if (!stream.ok()) return stream.error();
  return ModelQuantizer(files, options, algebra, *transformer, *stream, sink).Run(*plan);
}

}  // namespace atom::pipeline
