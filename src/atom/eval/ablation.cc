#include "atom/eval/ablation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "atom/io/svg.h"
#include "atom/pipeline/layer_sink.h"
#include "atom/pipeline/quantize_model.h"

namespace atom::eval {
namespace {

constexpr int64_t kStepRows = 512;

Result<AblationRow> EvaluateRow(const AblationStep& step, model::Transformer& transformer,
                                const std::vector<EvalText>& texts) {
  AblationRow row{.step = step.step, .label = step.label, .perplexity = {}};
  for (const EvalText& text : texts) {
    Progress progress(fmt::format("{} on {}", step.label, text.dataset),
                      static_cast<int64_t>(text.windows.size()));
    row.perplexity.emplace_back(text.dataset,
                                MeasurePerplexity(transformer, text, &progress).perplexity);
  }
  return row;
}

}  // namespace

std::vector<AblationStep> AblationLadder() {
  std::vector<AblationStep> ladder;
  quant::Recipe recipe;  // each step changes it further, as the published script does
  int step = -1;
  const auto add = [&](const char* label) {
    recipe.name = label;
    ladder.push_back({.step = step++, .label = label, .recipe = recipe});
  };
  add("fp");
  recipe.weight.bits = 4;
  recipe.activation.bits = 4;
  add("base");
  recipe.reorder = true;
  recipe.metric = quant::Metric::kHessian;
  recipe.outliers = 128;
  recipe.outlier_format = quant::OutlierFormat::kFp16;
  add("keep-fp16");
  recipe.outlier_format = quant::OutlierFormat::kInt8;
  add("keep-int8");
  recipe.weight.group = 128;
  recipe.weight.channel_group = 2;
  recipe.activation.group = 128;
  add("group");
  recipe.activation.clip.ratio = 0.9f;
  recipe.weight.clip.ratio = 0.85f;
  add("clip");
  recipe.weight.gptq = true;
  add("gptq");
  recipe.kv.bits = 4;
  recipe.kv.before_rope = true;
  add("kv-int4");
  return ladder;
}

Result<std::vector<AblationRow>> RunAblation(
    const model::ModelFiles& files, const pipeline::Calibration& calibration,
    const std::vector<EvalText>& texts, kernels::Backend& backend, quant::DenseAlgebra& algebra,
    const AblationOptions& options, const std::function<void(const AblationRow&)>& on_row) {
  std::vector<AblationRow> rows;
  std::optional<std::vector<pipeline::LayerPermutations>> reorder;  // one plan serves every row
  const int64_t window = static_cast<int64_t>(texts.front().windows.front().size());
  for (AblationStep& step : AblationLadder()) {
    if (!options.labels.empty() && std::find(options.labels.begin(), options.labels.end(),
                                             step.label) == options.labels.end()) {
      continue;
    }
    step.recipe.reference_parity = options.reference_parity;
    pipeline::QuantizeOptions quantize{.recipe = step.recipe,
                                       .simulated = true,
                                       .memory_limit = options.memory_limit,
                                       .spill_folder = options.spill_folder,
                                       .plan = nullptr};
    if (step.recipe.reorder) {
      if (!reorder) {
        auto plan = pipeline::MakePlan(files, calibration, backend, quantize);
        if (!plan.ok()) return plan.error();
        reorder = std::move(plan).value();
      }
      quantize.plan = &*reorder;
    }
    model::Transformer transformer(backend, files.spec,
                                   {.rows = std::min(kStepRows, window), .positions = window});
    if (Status s = model::LoadOuterWeights(files, DType::kF32, transformer); !s.ok()) {
      return s.error();
    }
    if (step.step < 0) {
      for (int64_t i = 0; i < files.spec.num_layers(); ++i) {
        const Result<artifact::HostLayer> layer = files.ReadLayer(i);
        if (!layer.ok()) return layer.error();
        transformer.AddLayer(*layer);
      }
    } else {
      pipeline::TransformerSink sink(transformer);
      const auto report =
          pipeline::QuantizeModel(files, calibration, backend, algebra, quantize, sink);
      if (!report.ok()) return MakeError("row {}: {}", step.label, report.error().message);
    }
    Result<AblationRow> row = EvaluateRow(step, transformer, texts);
    if (!row.ok()) return row.error();
    on_row(*row);
    rows.push_back(std::move(row).value());
  }
  return rows;
}

nlohmann::json ToJson(const std::vector<AblationRow>& rows) {
  nlohmann::json json = nlohmann::json::array();
  for (const AblationRow& row : rows) {
    nlohmann::json values = nlohmann::json::object();
    for (const auto& [dataset, value] : row.perplexity) values[dataset] = value;
    json.push_back({{"step", row.step}, {"label", row.label}, {"ppl", values}});
  }
  return {{"rows", json}};
}

std::string AblationPlot(const std::string& model_name, const std::vector<AblationRow>& rows) {
  io::Chart chart{.title = "Ablation of " + model_name,
                  .y_label = "perplexity",
                  .categories = {},
                  .series = {},
                  .style = io::ChartStyle::kBars,
                  .log_y = true};
  for (const AblationRow& row : rows) {
    chart.categories.push_back(row.label);
    for (size_t i = 0; i < row.perplexity.size(); ++i) {
      if (chart.series.size() <= i) chart.series.push_back({row.perplexity[i].first, {}});
      chart.series[i].values.push_back(row.perplexity[i].second);
    }
  }
  return io::RenderSvg(chart);
}

}  // namespace atom::eval
