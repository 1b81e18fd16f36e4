// What a row of `atom bench serving-recipes` looks like: JSON, a line of the table, the plot.
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/bench/serving/serving_recipes.h"
#include "atom/io/svg.h"

namespace atom::bench {
namespace {

std::string PlaceOf(const ServingRow& row) {
  return row.batch > 0 ? fmt::format("batch {}", row.batch) : GibText(row.budget);
}

/// One panel: `value` of every recipe at every batch, or at every budget.
io::Chart Panel(const std::vector<ServingRow>& rows, bool budgets, std::string title,
                std::string y_label, const std::function<double(const ServingPoint&)>& value) {
  io::Chart chart{.title = std::move(title),
                  .y_label = std::move(y_label),
                  .categories = {},
                  .series = {},
                  .style = io::ChartStyle::kLines,
                  .log_y = true};
  const auto shown = [&](const ServingRow& row) { return (row.batch == 0) == budgets; };
  for (const ServingRow& row : rows) {
    const bool known = std::ranges::count(chart.categories, PlaceOf(row)) > 0;
    if (shown(row) && !known) chart.categories.push_back(PlaceOf(row));
  }
  for (const ServingRow& row : rows) {
    if (!shown(row)) continue;
    auto series = std::ranges::find(chart.series, row.recipe, &io::ChartSeries::name);
    if (series == chart.series.end()) {
      const std::vector<double> missing(chart.categories.size(), std::nan(""));
      series = chart.series.insert(series, {row.recipe, missing});
    }
    const auto place = std::ranges::find(chart.categories, PlaceOf(row));
    if (row.fits) {
      series->values[static_cast<size_t>(place - chart.categories.begin())] = value(row.point);
    }
  }
  return chart;
}

}  // namespace

nlohmann::json ToJson(const ServingRow& row, const BenchContext& bench) {
  const ServingPoint& point = row.point;
  nlohmann::json json = {{"bench", "serving-recipes"},
                         {"weights", "random"},
                         {"geometry", row.geometry},
                         {"recipe", row.recipe},
                         {"layers", row.layers},
                         {"model_layers", row.model_layers},
                         {"kv_bits", row.kv_bits},
                         {"scale", row.scale},
                         {"weight_bytes", row.memory.weights},
                         {"scratch_bytes", row.memory.scratch},
                         {"page_bytes", row.memory.page_bytes},
                         {"kv_pages", row.pages},
                         {"total_bytes", row.memory.Total(row.pages)},
                         {"fits", row.fits}};
  json[row.batch > 0 ? "batch" : "budget_bytes"] = row.batch > 0 ? row.batch : row.budget;
  bench.Describe(json);
  if (!row.fits) return json;
  json["fill_seconds"] = point.fill_seconds;
  json["seconds"] = point.seconds;
  json["steps"] = point.steps;
  json["output_tokens"] = point.output_tokens;
  json["prompt_tokens"] = point.prompt_tokens;
  json["finished_requests"] = point.finished;
  json["output_tokens_per_second"] = point.TokensPerSecond();
  json["tokens_per_second"] = point.AllTokensPerSecond();
  json["decode_ms"] = MillisecondsToJson(point.gap);
  json["mean_running"] = point.running;
  json["mean_pages_used"] = point.pages_used;
  json["preemptions"] = point.preemptions;
  json["overhead_share"] = point.overhead_share;
  json["sample_share"] = point.sample_share;
  return json;
}

std::string ServingTableHeader() {
  return fmt::format("random weights\n{:<16}{:<11}{:>10}{:>10}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{:>9}",
                     "geometry", "recipe", "at", "tokens/s", "ms mean", "p50", "p99", "running",
                     "preempt", "KV pages", "engine");
}

std::string TableLine(const ServingRow& row) {
  const std::string start =
      fmt::format("{:<16}{:<11}{:>10}", row.geometry, row.recipe, PlaceOf(row));
  if (!row.fits) {
    return fmt::format("{}  does not fit: weights {}, scratch {}", start,
                       GibText(row.memory.weights), GibText(row.memory.scratch));
  }
  const ServingPoint& point = row.point;
  return fmt::format("{}{:>10.1f}{:>9.1f}{:>9.1f}{:>9.1f}{:>9.1f}{:>9}{:>10}{:>8.2f}%", start,
                     point.TokensPerSecond(), point.gap.mean * 1e3, point.gap.p50 * 1e3,
                     point.gap.p99 * 1e3, point.running, point.preemptions, row.pages,
                     100.0 * point.overhead_share);
}

std::string Plot(const std::vector<ServingRow>& rows) {
  std::vector<io::Chart> panels;
  for (const bool budgets : {false, true}) {
    const bool any = std::ranges::any_of(
        rows, [&](const ServingRow& row) { return (row.batch == 0) == budgets; });
    if (!any) continue;
    const std::string at = budgets ? "in equal memory" : "at equal batches";
    panels.push_back(Panel(rows, budgets, "Throughput " + at, "tokens/s",
                           [](const ServingPoint& point) { return point.TokensPerSecond(); }));
    panels.push_back(Panel(rows, budgets, "Time between tokens " + at, "ms, mean",
                           [](const ServingPoint& point) { return point.gap.mean * 1e3; }));
  }
  return io::RenderSvg(std::span<const io::Chart>(panels));
}

}  // namespace atom::bench
