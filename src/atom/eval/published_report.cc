#include "atom/eval/published_report.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "atom/eval/ablation_report.h"

namespace atom::eval {
namespace {

using nlohmann::json;

json OrNull(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

std::optional<double> Published(const PublishedRun& run, std::string_view label,
                                std::string_view text_or_task) {
  return run.model == nullptr ? std::nullopt : run.model->Figure(label, text_or_task);
}

/// " 5.47": the cell behind a figure; without a published model there is no such column.
std::string Beside(const PublishedRun& run, std::string_view label, std::string_view text_or_task) {
  if (run.model == nullptr) return "";
  const std::optional<double> figure = Published(run, label, text_or_task);
  return fmt::format(" {:>9}", figure ? fmt::format("{:.2f}", *figure) : "");
}

std::string WithError(const std::string& mean, const std::string& error) {
  return error.empty() ? mean : mean + " +- " + error;
}

json TextJson(const RowVerdict& verdict, const TextLosses& text) {
  json item = {{"delta", nullptr},
               {"delta_stderr", nullptr},
               {"worst_window", nullptr},
               {"window_losses", text.losses}};
  if (verdict.delta) {
    item["delta"] = verdict.delta->mean;
    item["delta_stderr"] = OrNull(verdict.delta->standard_error);
  }
  if (verdict.worst) {
    item["worst_window"] = {{"index", verdict.worst->index}, {"delta", verdict.worst->difference}};
  }
  return item;
}

}  // namespace

std::string PublishedHead(const PublishedRun& run) {
  std::string head =
      run.model == nullptr
          ? "no model of the published tables has this shape: nothing published stands beside\n"
          : fmt::format(
                "by its shape this is {}, or comes from it: published figures stand beside\n",
                run.model->name);
  if (run.model != nullptr && !run.model->remark.empty()) {
    head += fmt::format("note: {}\n", run.model->remark);
  }
  for (const std::string& note : run.notes) head += fmt::format("note: {}\n", note);
  head += fmt::format("\n{:<10} {:>6} {:>9}", "row", "bits", "runs");
  const std::string beside = run.model == nullptr ? "" : fmt::format(" {:>9}", "published");
  for (const std::string& text : run.texts) {
    head += fmt::format("  {:>15}{} {:>18}", text, beside, "delta +- stderr");
  }
  for (const std::string& task : run.tasks) head += fmt::format("  {:>15}{}", task, beside);
  return head + "\n";
}

std::string PublishedLine(const PublishedRun& run, std::span<const AblationRow> rows) {
  const AblationRow& row = rows.back();
  const bool quantized = row.bits_per_weight.has_value();
  std::string line = fmt::format("{:<10} {:>6} {:>9}", row.label,
                                 quantized ? fmt::format("{:.3f}", *row.bits_per_weight) : "",
                                 row.packed  ? "packed"
                                 : quantized ? "simulated"
                                             : "");
  for (size_t i = 0; i < row.texts.size(); ++i) {
    const RowVerdict verdict = JudgeRow(rows, rows.size() - 1, i);
    std::string delta;
    if (verdict.delta) {
      const std::optional<double>& error = verdict.delta->standard_error;
      delta = WithError(fmt::format("{:+.4f}", verdict.delta->mean),
                        error ? fmt::format("{:.4f}", *error) : "");
    }
    line += fmt::format("  {:>15.4f}{} {:>18}", verdict.perplexity,
                        Beside(run, row.label, row.texts[i].dataset), delta);
  }
  for (const TaskScore& score : row.tasks) {
    const std::optional<double>& error = score.accuracy.standard_error;
    const std::string accuracy = WithError(fmt::format("{:.2f}", 100.0 * score.accuracy.mean),
                                           error ? fmt::format("{:.2f}", 100.0 * *error) : "");
    line += fmt::format("  {:>15}{}", accuracy, Beside(run, row.label, score.task));
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

json ToJson(const PublishedRun& run, std::span<const AblationRow> rows) {
  json list = json::array();
  for (size_t i = 0; i < rows.size(); ++i) {
    const AblationRow& row = rows[i];
    json item = {{"label", row.label},          {"bits_per_weight", OrNull(row.bits_per_weight)},
                 {"packed", row.packed},        {"ppl", json::object()},
                 {"published", json::object()}, {"texts", json::object()},
                 {"tasks", json::object()}};
    for (size_t text = 0; text < row.texts.size(); ++text) {
      const std::string& dataset = row.texts[text].dataset;
      const RowVerdict verdict = JudgeRow(rows, i, text);
      item["ppl"][dataset] = verdict.perplexity;
      item["published"][dataset] = OrNull(Published(run, row.label, dataset));
      item["texts"][dataset] = TextJson(verdict, row.texts[text]);
    }
    for (const TaskScore& score : row.tasks) {
      item["published"][score.task] = OrNull(Published(run, row.label, score.task));
      item["tasks"][score.task] = {{"metric", score.metric},
                                   {"items", score.items},
                                   {"accuracy", score.accuracy.mean},
                                   {"stderr", OrNull(score.accuracy.standard_error)}};
    }
    list.push_back(std::move(item));
  }
  json model = nullptr;
  if (run.model != nullptr) model = run.model->name;
  return {{"model", model}, {"notes", run.notes}, {"rows", list}};
}

}  // namespace atom::eval
