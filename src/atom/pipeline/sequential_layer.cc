#include "atom/pipeline/sequential_layer.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "atom/core/check.h"
#include "atom/pipeline/expert_layer.h"
#include "atom/pipeline/site_observers.h"
#include "atom/quant/input_correction.h"

namespace atom::pipeline {
namespace {

using artifact::HostLayer;
using artifact::HostLinear;
using artifact::SiteRole;
using model::LayerPart;
using Keep = CalibrationStream::Keep;

/// The sites in the order of the forward pass.
struct SiteStep {
  SiteRole site;
  LayerPart part;
  bool last_of_part;
};
constexpr std::array kOrder = {SiteStep{SiteRole::kQkv, LayerPart::kAttention, false},
                               SiteStep{SiteRole::kO, LayerPart::kAttention, true},
                               SiteStep{SiteRole::kGateUp, LayerPart::kFfn, false},
                               SiteStep{SiteRole::kDown, LayerPart::kFfn, true}};

class SequentialLayer {
 public:
  SequentialLayer(const LayerContext& context, const HostLayer& exact, LayerResult& result,
                  Progress* progress)
      : context_(context), exact_(exact), result_(result), progress_(progress) {}

  Status Run() {
    for (const SiteStep& step : kOrder) {
      if (step.site == SiteRole::kDown && context_.spec.ffn.moe) return RunExperts(step);
      SiteHessian hessian = SumUp(step);
      result_.sites[step.site] = hessian.statistics();
      if (Status status = QuantizeSite(step.site, hessian); !status.ok()) return status;
      simulated_->ReplaceWeights(Backend(), step.site,
                                 DenseLinears(result_.host, step.site, context_.algebra.pool()));
      if (step.site == SiteRole::kO) {
        context_.stream.RunLayer(Simulated(), context_.stream.samples(), Keep::kOutput, nullptr,
                                 nullptr, progress_, LayerPart::kAttention);
      }
    }
    return {};
  }

 private:
  /// The last step of a mixture. Its input has no correction: a token may choose other experts in
  /// the unquantized model.
  Status RunExperts(const SiteStep& step) {
    if (context_.unquantized != nullptr) {
      context_.unquantized->RunLayer(Exact(), context_.stream.samples(), Keep::kOutput, nullptr,
                                     nullptr, nullptr, step.part);
    }
    return QuantizeExperts(context_, Simulated(), step.part, result_);
  }

  kernels::Backend& Backend() const { return context_.transformer.backend(); }
  /// The layer as far as it is quantized, fake-quantized.
  const model::DeviceLayer& Simulated() {
    if (!simulated_) {
      simulated_.emplace(
          Backend(), context_.spec,
          SimulatedLayer(context_.recipe, result_.clips, result_.host, context_.algebra.pool()));
    }
    return *simulated_;
  }

  /// The unquantized layer, the same at every site.
  const model::DeviceLayer& Exact() {
    if (!exact_on_device_) exact_on_device_.emplace(Backend(), context_.spec, exact_);
    return *exact_on_device_;
  }

  SiteHessian SumUp(const SiteStep& step) {
    CalibrationStream& stream = context_.stream;
    const int64_t width = SiteWidth(step.site);
    SiteHessian hessian(context_.algebra,
                        {.k = width,
                         .outliers = quant::WeightFormatFor(context_.recipe).OutlierColumns(width),
                         .samples = stream.samples(),
                         .token_cap = context_.recipe.weight.token_cap,
                         .cross = context_.unquantized != nullptr});
    const model::DeviceLayer& device = Simulated();
    context_.transformer.Prepare(device);
    const std::unique_ptr<kernels::KvLayer> kv = stream.MakeKv(device);
    CaptureObserver input(Backend(), step.site, /*wants_output=*/false);
    std::optional<UnquantizedRun> beside;
    if (context_.unquantized != nullptr) beside.emplace(*this, step);
    for (int64_t sample = 0; sample < stream.samples(); ++sample) {
      std::span<float> unquantized;
      if (beside) unquantized = beside->Input(sample);
      stream.RunSample({.layer = device, .kv = *kv, .part = step.part}, sample, &input, nullptr);
      hessian.AddSample(input.Take(), unquantized, stream.rows());
      if (progress_ != nullptr) progress_->Advance();
    }
    hessian.Finish();
    return hessian;
  }

  /// The unquantized model's stream; it moves on where the step is the last of its part.
  class UnquantizedRun {
   public:
    UnquantizedRun(SequentialLayer& layer, const SiteStep& step)
        : stream_(*layer.context_.unquantized),
          step_(step),
          device_(layer.Exact()),
          input_(layer.Backend(), step.site, /*wants_output=*/step.last_of_part) {
      layer.context_.transformer.Prepare(device_);
      kv_ = stream_.MakeKv(device_);
    }
    std::span<float> Input(int64_t sample) {
      stream_.RunSample({.layer = device_,
                         .kv = *kv_,
                         .part = step_.part,
                         .keep = step_.last_of_part ? Keep::kOutput : Keep::kInput},
                        sample, &input_, nullptr);
      return input_.Take();
    }

   private:
    CalibrationStream& stream_;
    SiteStep step_;
    const model::DeviceLayer& device_;
    CaptureObserver input_;
    std::unique_ptr<kernels::KvLayer> kv_;
  };

  Status QuantizeSite(SiteRole site, SiteHessian& hessian) {
    struct Reader {
      HostLinear* linear;
      std::vector<float> values;
      std::vector<float> product;  // −W·C, where there is a correction
    };
    std::vector<Reader> readers;
    for (HostLinear& linear : result_.host.linears) {
      if (artifact::InputSite(linear.name) != artifact::SiteName(site)) continue;
      Reader& reader = readers.emplace_back(Reader{&linear, linear.ToFloats(), {}});
      if (hessian.cross().empty()) continue;
      reader.product = quant::NegatedProduct(reader.values, linear.n(), linear.k(), hessian.cross(),
                                             context_.algebra);
    }
    hessian.DropCross();  // its room is the factor's
    const quant::Recipe& recipe = context_.recipe;
    const Result<quant::DampedFactor> factor =
        quant::FactorDamped(hessian.hessian(), SiteWidth(site), recipe.weight.damping,
                            recipe.reference_parity, context_.algebra);
    if (!factor.ok())
      return MakeError("site {}: {}", ToString(artifact::SiteName(site)), factor.error().message);
    for (Reader& reader : readers) {
      if (!reader.product.empty()) {
        quant::CorrectWeight(reader.values, reader.linear->n(), reader.linear->k(), reader.product,
                             *factor, static_cast<float>(recipe.weight.correction),
                             context_.algebra);
      }
      const Status status =
          QuantizeLinear(context_, {.hessian = hessian.hessian(), .factor = &*factor},
                         reader.values, *reader.linear, result_);
      if (!status.ok()) return status;
    }
    return {};
  }

  int64_t SiteWidth(SiteRole role) const {
    for (const artifact::SiteShape& site : context_.shape.Sites()) {
      if (site.name == artifact::SiteName(role)) return site.width;
    }
    ATOM_CHECK(false, "a layer without the site {}", ToString(artifact::SiteName(role)));
  }

  const LayerContext& context_;
  const HostLayer& exact_;
  // Uploaded once: of the quantized layer only what a site changes.
  std::optional<model::DeviceLayer> exact_on_device_, simulated_;
  LayerResult& result_;
  Progress* progress_;
};

}  // namespace

Status QuantizeInOrder(const LayerContext& context, const HostLayer& exact, LayerResult& result,
                       Progress* progress) {
  return SequentialLayer(context, exact, result, progress).Run();
}

void RunInHalves(CalibrationStream& stream, const model::DeviceLayer& layer, Progress* progress) {
  for (const LayerPart part : {LayerPart::kAttention, LayerPart::kFfn}) {
    stream.RunLayer(layer, stream.samples(), Keep::kOutput, nullptr, nullptr, progress, part);
  }
}

}  // namespace atom::pipeline
