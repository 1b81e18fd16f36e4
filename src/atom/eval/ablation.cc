#include "atom/eval/ablation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "atom/eval/multiple_choice.h"
#include "atom/kernels/device_error.h"
#include "atom/pipeline/layer_sink.h"
#include "atom/pipeline/quantize_model.h"

namespace atom::eval {
namespace {

constexpr int64_t kStepRows = 512;

bool RunsPacked(const AblationStep& step, const kernels::Backend& backend) {
  return step.packed && quant::HasKernels(step.recipe) &&
         model::MissingKernels(step.recipe, backend).empty();
}

/// What all rows share.
class Ablation {
 public:
  Ablation(const model::ModelFiles& files, const AblationData& data, kernels::Backend& backend,
           quant::DenseAlgebra& algebra, const AblationOptions& options)
      : files_(files), data_(data), backend_(backend), algebra_(algebra), options_(options) {}

  Result<AblationRow> Run(const AblationStep& step) {
    AblationRow row{.step = step.step, .label = step.label};
    model::Transformer transformer(
        backend_, files_.spec,
        {.rows = std::min(kStepRows, window()),
         .positions = data_.tasks.empty() ? window() : PositionsForTasks(window())});
    Status status = model::LoadOuterWeights(files_, DType::kF32, transformer);
    if (status.ok() && step.step < 0) status = AddUnquantized(transformer);
    if (status.ok() && step.step >= 0) status = AddQuantized(step, transformer, row);
    if (status.ok()) status = MeasureTexts(transformer, row);
    if (status.ok()) status = MeasureTasks(transformer, row);
    if (!status.ok()) return MakeError("row {}: {}", step.label, status.error().message);
    return row;
  }

 private:
  using Plan = std::vector<pipeline::LayerPermutations>;

  int64_t window() const { return std::ssize(data_.texts.front().windows.front()); }

  Status MeasureTexts(model::Transformer& transformer, AblationRow& row) const {
    for (const EvalText& text : data_.texts) {
      Progress progress(fmt::format("{} on {}", row.label, text.dataset), std::ssize(text.windows));
      Result<PerplexityResult> result = MeasurePerplexity(transformer, text, &progress);
      if (!result.ok()) return result.error();
      row.texts.push_back({text.dataset, std::move(result->window_losses)});
    }
    return {};
  }

  Status MeasureTasks(model::Transformer& transformer, AblationRow& row) const {
    for (const TaskItems& task : data_.tasks) {
      Progress progress(fmt::format("{} on {}", row.label, task.task), std::ssize(task.items));
      const Result<TaskResult> result =
          MeasureTask(transformer, *data_.tokenizer, task, window(), &progress);
      if (!result.ok()) return result.error();
      const Accuracy& accuracy = result->acc_norm ? *result->acc_norm : result->acc;
      row.tasks.push_back({.task = task.task,
                           .metric = result->acc_norm ? "acc_norm" : "acc",
                           .items = result->n,
                           .accuracy = {accuracy.mean, accuracy.standard_error}});
    }
    return {};
  }

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
    row.packed = RunsPacked(step, backend_);
    pipeline::QuantizeOptions quantize{.recipe = step.recipe,
                                       .simulated = !row.packed,
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

Status CheckRow(const model::ModelSpec& spec, const AblationStep& step, kernels::Backend& backend) {
  if (Status s = pipeline::CheckFits(spec, step.recipe, backend); !s.ok()) return s;
  if (step.step < 0) return {};
  const bool simulated = !RunsPacked(step, backend);
  const int64_t width = spec.hidden_size;
  const model::AttentionSpec& attention = spec.layer(0).attention;
  const quant::KvRecipe& kv = step.recipe.kv;
  try {  // a backend says what it has no kernels for when it is asked for them
    backend.MakeActivation(quant::ActivationFormatFor(step.recipe, width, simulated), width, 1);
    if (kv.removes_mean() || kv.has_head_clips()) return {};  // calibration completes its format
    backend.MakeKvLayer(
        {quant::KvFormatFor(step.recipe, simulated), attention.kv_heads, attention.head_dim}, 1);
  } catch (const kernels::DeviceError& refused) {
    return MakeError("{}", refused.what());
  }
  return {};
}

Result<std::vector<AblationRow>> RunAblation(
    const model::ModelFiles& files, const std::vector<AblationStep>& steps,
    const AblationData& data, kernels::Backend& backend, quant::DenseAlgebra& algebra,
    const AblationOptions& options, AblationRecord& record,
    const std::function<void(const std::vector<AblationRow>&)>& on_row) {
  for (const AblationStep& step : steps) {  // now, not after hours
    const Status fits = CheckRow(files.spec, step, backend);
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
