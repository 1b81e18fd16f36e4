#include "atom/eval/ablation_report.h"

#include <cmath>
#include <fmt/core.h>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "atom/io/svg.h"

namespace atom::eval {
namespace {

using nlohmann::json;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

json MeanJson(const std::optional<Estimate>& estimate) {
  return estimate ? json(estimate->mean) : json(nullptr);
}
json ErrorJson(const std::optional<Estimate>& estimate) {
  return estimate && estimate->standard_error ? json(*estimate->standard_error) : json(nullptr);
}

json VerdictJson(const RowVerdict& verdict, const TextLosses& text) {
  json worst = nullptr;
  if (verdict.worst) {
    worst = {{"index", verdict.worst->index}, {"delta", verdict.worst->difference}};
  }
  return {{"delta", MeanJson(verdict.delta)},
          {"delta_stderr", ErrorJson(verdict.delta)},
          {"change", MeanJson(verdict.change)},
          {"change_stderr", ErrorJson(verdict.change)},
          {"worst_window", worst},
          {"window_losses", text.losses}};
}

std::string Spelled(const std::optional<Estimate>& estimate) {
  if (!estimate) return "";
  if (!estimate->standard_error) return fmt::format("{:+.4f}", estimate->mean);
  return fmt::format("{:+.4f} +- {:.4f}", estimate->mean, *estimate->standard_error);
}

using Value = std::function<std::pair<double, double>(const RowVerdict&)>;  // and its error

io::Chart ChartOf(std::string title, std::string y_label, std::span<const AblationRow> rows,
                  const Value& value_of) {
  io::Chart chart{.title = std::move(title),
                  .y_label = std::move(y_label),
                  .categories = {},
                  .series = {},
                  .style = io::ChartStyle::kBars,
                  .log_y = true};
  for (const TextLosses& text : rows.front().texts) chart.series.push_back({text.dataset, {}});
  for (size_t row = 0; row < rows.size(); ++row) {
    chart.categories.push_back(rows[row].label);
    for (size_t text = 0; text < chart.series.size(); ++text) {
      const auto [value, error] = value_of(JudgeRow(rows, row, text));
      chart.series[text].values.push_back(value);
      chart.series[text].errors.push_back(error);
    }
  }
  return chart;
}

}  // namespace

RowVerdict JudgeRow(std::span<const AblationRow> rows, size_t row, size_t text) {
  const std::vector<double>& losses = rows[row].texts[text].losses;
  RowVerdict verdict{.perplexity = std::exp(MeanOf(losses).mean)};
  for (size_t other = 0; other < row; ++other) {
    const std::vector<double>& base = rows[other].texts[text].losses;
    if (rows[other].step == rows[row].step - 1) verdict.change = PairedDifference(base, losses);
    if (rows[other].step >= 0) continue;
    verdict.delta = PairedDifference(base, losses);
    verdict.worst = LargestDifference(base, losses);
  }
  return verdict;
}

json ToJson(Ladder ladder, std::span<const AblationRow> rows, const PublishedModel* published) {
  json list = json::array();
  for (size_t row = 0; row < rows.size(); ++row) {
    json perplexities = json::object();
    json verdicts = json::object();
    for (size_t i = 0; i < rows[row].texts.size(); ++i) {
      const TextLosses& text = rows[row].texts[i];
      const RowVerdict verdict = JudgeRow(rows, row, i);
      perplexities[text.dataset] = verdict.perplexity;
      verdicts[text.dataset] = VerdictJson(verdict, text);
    }
    json item = {{"step", rows[row].step}, {"label", rows[row].label}, {"ppl", perplexities}};
    for (const TextLosses& text : rows[row].texts) {
      if (published == nullptr || !published->HasLadder(text.dataset)) continue;
      const std::optional<double> figure = published->Figure(rows[row].label, text.dataset);
      item["published"][text.dataset] = figure ? json(*figure) : json(nullptr);
    }
    if (ladder != Ladder::kAtomW4A4) {
      const std::optional<double>& bits = rows[row].bits_per_weight;
      item["bits_per_weight"] = bits ? json(*bits) : json(nullptr);
      item["texts"] = std::move(verdicts);
    }
    list.push_back(std::move(item));
  }
  return {{"rows", list}};
}

std::string TableHead(std::span<const std::string> datasets, const PublishedModel* published) {
  std::string line = fmt::format("{:>4}  {:<11} {:>6}", "step", "label", "bits");
  for (const std::string& dataset : datasets) {
    const bool beside = published != nullptr && published->HasLadder(dataset);
    line += fmt::format("  {:>15}{} {:>18} {:>18} {:>8}", dataset, beside ? " published" : "",
                        "delta +- stderr", "change +- stderr", "worst");
  }
  return line + "\n";
}

std::string TableRow(std::span<const AblationRow> rows, const PublishedModel* published) {
  const AblationRow& row = rows.back();
  std::string line =
      fmt::format("{:>4}  {:<11} {:>6}", row.step, row.label,
                  row.bits_per_weight ? fmt::format("{:.3f}", *row.bits_per_weight) : "");
  for (size_t i = 0; i < row.texts.size(); ++i) {
    const RowVerdict verdict = JudgeRow(rows, rows.size() - 1, i);
    std::string beside;
    if (published != nullptr && published->HasLadder(row.texts[i].dataset)) {
      const std::optional<double> figure = published->Figure(row.label, row.texts[i].dataset);
      beside = fmt::format(" {:>9}", figure ? fmt::format("{:.2f}", *figure) : "");
    }
    line += fmt::format("  {:>15.4f}{} {:>18} {:>18} {:>8}", verdict.perplexity, beside,
                        Spelled(verdict.delta), Spelled(verdict.change),
                        verdict.worst ? fmt::format("{:+.4f}", verdict.worst->difference) : "");
  }
  return line + "\n";
}

std::string AblationPlot(const std::string& model_name, Ladder ladder,
                         std::span<const AblationRow> rows) {
  const io::Chart perplexity =
      ChartOf("Ablation of " + model_name, "perplexity", rows,
              [](const RowVerdict& verdict) { return std::pair(verdict.perplexity, kMissing); });
  if (ladder == Ladder::kAtomW4A4) return io::RenderSvg(perplexity);
  const io::Chart delta = ChartOf(
      "What quantization costs, step by step", "Δ of the mean negative log-likelihood", rows,
      [](const RowVerdict& verdict) {
        if (!verdict.delta || verdict.delta->mean < 0.0) return std::pair(kMissing, kMissing);
        return std::pair(verdict.delta->mean, verdict.delta->standard_error.value_or(kMissing));
      });
  const io::Chart panels[] = {delta, perplexity};
  return io::RenderSvg(panels);
}

}  // namespace atom::eval
