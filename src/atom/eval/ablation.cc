#include "atom/eval/ablation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "atom/pipeline/layer_sink.h"
#include "atom/pipeline/quantize_model.h"

namespace atom::eval {
namespace {

constexpr int64_t kStepRows = 512;

/// What all rows share.
class Ablation {
 public:
  Ablation(const model::ModelFiles& files, const AblationData& data, kernels::Backend& backend,
           quant::DenseAlgebra& algebra, const AblationOptions& options)
      : files_(files), data_(data), backend_(backend), algebra_(algebra), options_(options) {}

  Result<AblationRow> Run(const AblationStep& step) {
    AblationRow row{.step = step.step, .label = step.label};
    const auto window = std::ssize(data_.texts.front().windows.front());
    model::Transformer transformer(backend_, files_.spec,
                                   {.rows = std::min(kStepRows, window), .positions = window});
    if (Status s = model::LoadOuterWeights(files_, DType::kF32, transformer); !s.ok()) {
      return s.error();
    }
    const Status loaded =
        step.step < 0 ? AddUnquantized(transformer) : AddQuantized(step, transformer, row);
    if (!loaded.ok()) return MakeError("row {}: {}", step.label, loaded.error().message);
    for (const EvalText& text : data_.texts) {
      Progress progress(fmt::format("{} on {}", step.label, text.dataset),
                        std::ssize(text.windows));
      Result<PerplexityResult> result = MeasurePerplexity(transformer, text, &progress);
      if (!result.ok()) return MakeError("row {}: {}", step.label, result.error().message);
      row.texts.push_back({text.dataset, std::move(result->window_losses)});
    }
    return row;
  }

 private:
  using Plan = std::vector<pipeline::LayerPermutations>;

  Status AddUnquantized(model::Transformer& transformer) const {
    for (int64_t i = 0; i < files_.spec.num_layers(); ++i) {
      const Result<artifact::HostLayer> layer = files_.ReadLayer(i);
      if (!layer.ok()) return layer.error();
      transformer.AddLayer(*layer);
    }
    return {};
  }

  Status AddQuantized(const AblationStep& step, model::Transformer& transformer, AblationRow& row) {
    const pipeline::Calibration& calibration =
        step.mixed_calibration ? data_.mixture : data_.calibration;
    pipeline::QuantizeOptions quantize{.recipe = step.recipe,
                                       .simulated = true,
                                       .memory_limit = options_.memory_limit,
                                       .spill_folder = options_.spill_folder,
                                       .plan = nullptr};
    if (step.recipe.reorder) {
      const Result<const Plan*> plan = PlanFor(step, calibration, quantize);
      if (!plan.ok()) return plan.error();
      quantize.plan = *plan;
    }
    pipeline::TransformerSink sink(transformer);
    const auto report =
        pipeline::QuantizeModel(files_, calibration, backend_, algebra_, quantize, sink);
    if (!report.ok()) return report.error();
    row.bits_per_weight = report->bits_per_weight_linears;
    return {};
  }

  /// One plan serves all rows that have its calibration and rotate V or do not.
  Result<const Plan*> PlanFor(const AblationStep& step, const pipeline::Calibration& calibration,
                              const pipeline::QuantizeOptions& quantize) {
    const std::pair key(step.mixed_calibration, step.recipe.kv.rotates());
    if (const auto known = plans_.find(key); known != plans_.end()) return &known->second;
    Result<Plan> plan = pipeline::MakePlan(files_, calibration, backend_, quantize);
    if (!plan.ok()) return plan.error();
    return &plans_.emplace(key, std::move(plan).value()).first->second;
  }

  const model::ModelFiles& files_;
  const AblationData& data_;
  kernels::Backend& backend_;
  quant::DenseAlgebra& algebra_;
  const AblationOptions& options_;
  std::map<std::pair<bool, bool>, Plan> plans_;
};

}  // namespace

Result<std::vector<AblationRow>> RunAblation(
    const model::ModelFiles& files, const std::vector<AblationStep>& steps,
    const AblationData& data, kernels::Backend& backend, quant::DenseAlgebra& algebra,
    const AblationOptions& options, AblationRecord& record,
    const std::function<void(const std::vector<AblationRow>&)>& on_row) {
  for (const AblationStep& step : steps) {  // now, not after hours
    const Status fits = pipeline::CheckFits(files.spec, step.recipe, backend);
    if (!fits.ok()) return MakeError("row {}: {}", step.label, fits.error().message);
  }
  Ablation ablation(files, data, backend, algebra, options);
  std::vector<AblationRow> rows;
  for (const AblationStep& step : steps) {
    if (const AblationRow* known = record.Find(step)) {
      rows.push_back(*known);
    } else {
      Result<AblationRow> row = ablation.Run(step);
      if (!row.ok()) return row.error();
      if (Status s = record.Add(step, *row); !s.ok()) return s.error();
      rows.push_back(std::move(row).value());
    }
    on_row(rows);
  }
  return rows;
}

}  // namespace atom::eval
