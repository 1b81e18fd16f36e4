#include "atom/pipeline/quantize_model.h"

#include <algorithm>
#include <cmath>

#include "atom/io/json.h"
#include "atom/model/overflow.h"
#include "atom/model/weights.h"
#include "atom/pipeline/expert_layer.h"
#include "atom/pipeline/kv_calibration.h"
#include "atom/pipeline/layer_report.h"
#include "atom/pipeline/quantize_layer.h"
#include "atom/pipeline/sequential_layer.h"
#include "atom/pipeline/value_rotation.h"

namespace atom::pipeline {
namespace {

/// Windows on which a layer's own error is measured.
constexpr int64_t kReportSamples = 4;

/// That of the model quantized so far, and with an input correction that of the unquantized one.
int64_t Streams(const quant::Recipe& recipe) {
  return IsSequential(recipe) && recipe.weight.correction > 0.0 ? 2 : 1;
}

std::unique_ptr<model::Transformer> MakeTransformer(const model::ModelFiles& files,
                                                    const Calibration& calibration,
                                                    kernels::Backend& backend) {
  const int64_t length = calibration.record.sequence_length;
  return std::make_unique<model::Transformer>(
      backend, files.spec,
      model::Transformer::Limits{.rows = length, .positions = length, .sequences = 1});
}

Result<CalibrationStream> MakeStream(const model::ModelFiles& files, const Calibration& calibration,
                                     const QuantizeOptions& options, int64_t samples,
                                     model::Transformer& transformer) {
  std::unique_ptr<kernels::SampleStore> on_device = transformer.backend().MakeSampleStore(
      samples, calibration.record.sequence_length, files.spec.hidden_size);
  if (on_device != nullptr) {
    return CalibrationStream(transformer, calibration.windows, samples, std::move(on_device));
  }
  Result<HiddenStore> store =
      HiddenStore::Create(samples, calibration.record.sequence_length, files.spec.hidden_size,
                          options.memory_limit / Streams(options.recipe), options.spill_folder);
  if (!store.ok()) return store.error();
  return CalibrationStream(transformer, calibration.windows, std::move(store).value());
}

/// Rounding needs no tokens; a few windows still measure each layer's error, and its KV.
int64_t SamplesOf(const Calibration& calibration, const quant::Recipe& recipe) {
  const auto windows = static_cast<int64_t>(calibration.windows.size());
  if (NeedsHessian(recipe)) return windows;
  return std::min(windows, NeedsKvCalibration(recipe) ? kKvSamples : kReportSamples);
}

/// Runs over the layers one by one; holds what they share.
class ModelQuantizer {
 public:
  /// `unquantized` is null where no second stream is needed.
  ModelQuantizer(const model::ModelFiles& files, const QuantizeOptions& options,
                 quant::DenseAlgebra& algebra, model::Transformer& transformer,
                 CalibrationStream& stream, CalibrationStream* unquantized, LayerSink& sink)
      : files_(files),
        options_(options),
        transformer_(transformer),
        stream_(stream),
        unquantized_(unquantized),
        sink_(sink),
        algebra_(algebra),
        progress_("quantizing", files.spec.num_layers() * StepsPerLayer() - stream.samples() +
                                    Propagated(files.spec.num_layers() - 1)) {}

  Result<QuantizeReport> Run(const std::vector<LayerPermutations>& plan) {
    stream_.EmbedAll(nullptr);
    if (unquantized_ != nullptr) unquantized_->EmbedAll(nullptr);
    for (int64_t i = 0; i < files_.spec.num_layers(); ++i) {
      Status status = i < sink_.finished_layers() ? Replay(i, plan) : Quantize(i, plan);
      if (!status.ok()) return status.error();
      files_.tensors().ReleasePages(i);
    }
    FinishReport(files_, report_);
    return report_;
  }

 private:
  int64_t StepsPerLayer() const {
    const int64_t passes = IsSequential(options_.recipe)   ? kSequentialPasses
                           : NeedsHessian(options_.recipe) ? 1
                                                           : 0;
    return stream_.samples() * (passes + 1);
  }

  /// Samples that go through the quantized layer: all, as the next layer's input; nothing reads
  /// the last layer's output but the report.
  int64_t Propagated(int64_t layer) const {
    const bool last = layer + 1 == files_.spec.num_layers();
    return last ? std::min(kReportSamples, stream_.samples()) : stream_.samples();
  }

  /// A layer of an earlier run: only feed the streams through it.
  Status Replay(int64_t i, const std::vector<LayerPermutations>& plan) {
    const Result<std::optional<std::string>> state = sink_.ReadState(StateName(i));
    if (!state.ok()) return state.error();
    if (!state->has_value()) return MakeError("layer {} is finished but has no report", i);
    Result<LayerReport> report = ParseLayerReport(**state);
    if (!report.ok()) return report.error();
    report_.layers.push_back(std::move(report).value());
    const Result<artifact::HostLayer> host =
        sink_.ReadLayer(i, model::ShapeOfLayer(files_.spec, i), Config());
    if (!host.ok()) return host.error();
    const model::LayerSpec& spec = files_.spec.layer(i);
    kernels::Backend& backend = transformer_.backend();
    if (!IsSequential(options_.recipe)) {
      stream_.RunLayer(OnDevice(spec, *host, report_.layers.back().clips), Propagated(i),
                       CalibrationStream::Keep::kOutput, nullptr, nullptr, &progress_);
      return {};
    }
    const artifact::HostLayer simulated =
        SimulatedLayer(options_.recipe, report_.layers.back().clips, *host, algebra_.pool());
    RunInHalves(stream_, model::DeviceLayer(backend, spec, simulated), &progress_);
    if (unquantized_ == nullptr) return {};
    const Result<artifact::HostLayer> source = ReadSourceLayer(files_, options_.recipe.kv, i);
    if (!source.ok()) return source.error();
    const artifact::HostLayer exact =
        PrepareLayer(options_.recipe, *source, plan[static_cast<size_t>(i)], algebra_.pool());
    RunInHalves(*unquantized_, model::DeviceLayer(backend, spec, exact), nullptr);
    return {};
  }

  Status Quantize(int64_t i, const std::vector<LayerPermutations>& plan) {
    const Result<artifact::HostLayer> source = ReadSourceLayer(files_, options_.recipe.kv, i);
    if (!source.ok()) return source.error();
    const artifact::LayerShape shape = model::ShapeOfLayer(files_.spec, i);
    const LayerContext context{.recipe = options_.recipe,
                               .spec = files_.spec.layer(i),
                               .shape = shape,
                               .simulated = options_.simulated,
                               .algebra = algebra_,
                               .transformer = transformer_,
                               .stream = stream_,
                               .unquantized = unquantized_};
    const Expected expected = RunUnquantized(context.spec, *source);
    if (Status s = CheckFinite(i, std::isfinite(expected.norm)); !s.ok()) return s;
    Result<LayerResult> result =
        QuantizeLayer(context, *source, plan[static_cast<size_t>(i)], &progress_);
    if (!result.ok()) return MakeError("layer {}: {}", i, result.error().message);
    LayerReport report = ReportOf(options_.recipe, shape, *result);
    report.error = Propagate(context.spec, *result, expected, Propagated(i));
    const bool finite = stream_.finite() && (unquantized_ == nullptr || unquantized_->finite());
    if (Status s = CheckFinite(i, finite); !s.ok()) return s;
    if (Status s = sink_.WriteState(StateName(i), DumpLayerReport(report)); !s.ok()) return s;
    report_.layers.push_back(report);
    return sink_.WriteLayer(i, std::move(result->host));
  }

  Status CheckFinite(int64_t layer, bool finite) const {
    if (finite) return {};
    return MakeError("{}", model::OverflowSentence(layer, files_.spec.num_layers()));
  }

  /// What the unquantized layer makes of the stream's first samples.
  struct Expected {
    std::vector<std::vector<float>> outputs;
    double norm = 0.0;  ///< squared, of what it adds to the residual stream
  };
  Expected RunUnquantized(const model::LayerSpec& spec, const artifact::HostLayer& source) {
    Expected expected;
    stream_.RunLayer(
        model::DeviceLayer(transformer_.backend(), spec, source),
        std::min(kReportSamples, stream_.samples()), CalibrationStream::Keep::kInput, nullptr,
        [&](int64_t, std::span<const float> input, std::span<const float> output) {
          expected.outputs.emplace_back(output.begin(), output.end());
          for (size_t j = 0; j < output.size(); ++j) {
            const double update = static_cast<double>(output[j]) - input[j];
            expected.norm += update * update;
          }
        },
        nullptr);
    return expected;
  }

  /// Moves the stream's first `samples` to the layer's output; returns the layer's own relative
  /// error.
  double Propagate(const model::LayerSpec& spec, const LayerResult& result,
                   const Expected& expected, int64_t samples) {
    const auto add_error = [&](double& error) {
      return [&](int64_t sample, std::span<const float>, std::span<const float> output) {
        const std::vector<float>& want = expected.outputs[static_cast<size_t>(sample)];
        for (size_t j = 0; j < output.size(); ++j) {
          const double difference = static_cast<double>(output[j]) - want[j];
          error += difference * difference;
        }
      };
    };
    double error = 0.0;
    kernels::Backend& backend = transformer_.backend();
    if (IsSequential(options_.recipe)) {  // the stream stands before the FFN
      const artifact::HostLayer simulated =
          SimulatedLayer(options_.recipe, result.clips, result.host, algebra_.pool());
      stream_.RunLayer(model::DeviceLayer(backend, spec, simulated), samples,
                       CalibrationStream::Keep::kOutput, nullptr, add_error(error), &progress_,
                       model::LayerPart::kFfn, std::ssize(expected.outputs));
    } else {
      stream_.RunLayer(OnDevice(spec, result.host, result.clips), samples,
                       CalibrationStream::Keep::kOutput, nullptr, add_error(error), &progress_,
                       model::LayerPart::kBoth, std::ssize(expected.outputs));
    }
    return expected.norm > 0.0 ? error / expected.norm : 0.0;
  }

  /// A quantized layer as the backend can run it: fake-quantized where it lacks the kernels.
  model::DeviceLayer OnDevice(const model::LayerSpec& spec, const artifact::HostLayer& layer,
                              const artifact::LayerClips& clips) {
    kernels::Backend& backend = transformer_.backend();
    const bool simulated = options_.simulated || !quant::HasKernels(options_.recipe);
    if (simulated ||
        std::ranges::all_of(model::MissingKernels(options_.recipe, backend), quant::ConcernsKv)) {
      return {backend, spec, layer};
    }
    return {backend, spec, SimulatedLayer(options_.recipe, clips, layer, algebra_.pool())};
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
  CalibrationStream* unquantized_;
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

Status CheckFits(const model::ModelSpec& spec, const quant::Recipe& recipe,
                 const kernels::Backend& backend) {
  for (int64_t i = 0; i < spec.num_layers(); ++i) {
    const Status fits = quant::CheckHeadDim(recipe.kv, spec.layer(i).attention.head_dim);
    if (!fits.ok()) return MakeError("layer {}: {}", i, fits.error().message);
  }
  if (Status s = model::CheckRuns(spec, backend); !s.ok()) return s;
  return model::CheckRuns(recipe, backend);
}

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
  return PlanReorder(files, *transformer, *stream, options.recipe, &progress);
}

Result<QuantizeReport> QuantizeModel(const model::ModelFiles& files, const Calibration& calibration,
                                     kernels::Backend& backend, quant::DenseAlgebra& algebra,
                                     const QuantizeOptions& options, LayerSink& sink) {
  if (Status s = CheckFits(files.spec, options.recipe, backend); !s.ok()) return s.error();
  const Result<std::vector<LayerPermutations>> plan =
      ResumablePlan(files, calibration, backend, options, sink);
  if (!plan.ok()) return plan.error();
  const auto transformer = MakeTransformer(files, calibration, backend);
  if (Status s = model::LoadOuterWeights(files, DType::kF32, *transformer); !s.ok()) {
    return s.error();
  }
  const int64_t samples = SamplesOf(calibration, options.recipe);
  Result<CalibrationStream> stream = MakeStream(files, calibration, options, samples, *transformer);
  if (!stream.ok()) return stream.error();
  std::optional<CalibrationStream> unquantized;
  if (Streams(options.recipe) == 2) {
    Result<CalibrationStream> second =
        MakeStream(files, calibration, options, samples, *transformer);
    if (!second.ok()) return second.error();
    unquantized.emplace(std::move(second).value());
  }
  return ModelQuantizer(files, options, algebra, *transformer, *stream,
                        unquantized ? &*unquantized : nullptr, sink)
      .Run(*plan);
}

QuantizeMemory PlanMemory(const model::ModelFiles& files, const Calibration& calibration,
                          const QuantizeOptions& options) {
  QuantizeMemory memory;
  memory.stores = Streams(options.recipe);
  const int64_t store = SamplesOf(calibration, options.recipe) *
                        calibration.record.sequence_length * files.spec.hidden_size *
                        static_cast<int64_t>(sizeof(Half));
  memory.hidden = memory.stores * store;
  memory.spilled = store > options.memory_limit / memory.stores;
  if (!NeedsHessian(options.recipe)) return memory;
  const bool sequential = IsSequential(options.recipe);
  for (int64_t i = 0; i < files.spec.num_layers(); ++i) {
    int64_t widest = 0;
    int64_t all = 0;
    int64_t experts = 0;  // of those whose Hessians are summed up at once, and of all together
    const artifact::LayerShape shape = model::ShapeOfLayer(files.spec, i);
    for (const artifact::SiteShape& site : shape.Sites()) {
      const int64_t bytes = site.width * site.width * static_cast<int64_t>(sizeof(float));
      if (site.name.expert != artifact::kNoExpert) {
        const bool own = options.recipe.expert_order == quant::ExpertOrder::kOwn;
        experts = bytes * (ExpertsOfPass(site.width, shape.router.experts) + (own ? 3 : 2));
        continue;
      }
      widest = std::max(widest, bytes);
      all += bytes;
    }
    // A factor, or a cross matrix, beside one site's Hessian or those of all.
    memory.hessians = std::max({memory.hessians, widest + (sequential ? widest : all), experts});
  }
  return memory;
}

}  // namespace atom::pipeline
