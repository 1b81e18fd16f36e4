// What rows of `atom bench serving-recipes` look like: a line of the table, the plot.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <tuple>

#include "atom/bench/serving/published_figure.h"
#include "atom/bench/serving/serving_recipes.h"
#include "atom/io/svg.h"

namespace atom::bench {
namespace {

std::string PlaceOf(const ServingRow& row) {
  if (row.batch > 0) return fmt::format("batch {}", row.batch);
  return fmt::format("{} {}", GibText(row.budget), Name(row.rule));
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

bool ServingRow::IsPointOf(const ServingRow& other) const {
  const auto key = [](const ServingRow& row) {
    return std::tie(row.geometry, row.recipe, row.layers, row.batch, row.budget, row.rule);
  };
  return key(*this) == key(other) && lengths == other.lengths;
}

double BoundOf(const ServingRow& row, const std::vector<ServingRow>& rows) {
  ServingRow plain = row;
  plain.recipe = "none";
  const auto found =
      std::ranges::find_if(rows, [&](const ServingRow& other) { return plain.IsPointOf(other); });
  if (found == rows.end() || found->kv_positions() == 0) return std::nan("");
  return static_cast<double>(row.kv_positions()) / static_cast<double>(found->kv_positions());
}

std::string ServingTableHeader() {
  return fmt::format(
      "random weights\n{:<13}{:<12}{:>18}{:>10}{:>9}{:>8}{:>8}{:>9}{:>8}{:>10}{:>8}{:>8}",
      "geometry", "recipe", "at", "tokens/s", "ms mean", "p50", "p99", "running", "preempt",
      "KV tokens", "x none", "engine");
}

std::string TableLine(const ServingRow& row, const std::vector<ServingRow>& rows) {
  const std::string start =
      fmt::format("{:<13}{:<12}{:>18}", row.geometry, row.recipe, PlaceOf(row));
  if (!row.fits) {
    return fmt::format("{}  does not fit: weights {}, scratch {}, reserve {}", start,
                       GibText(row.memory.weights), GibText(row.memory.scratch),
                       GibText(row.memory.reserve));
  }
  const ServingPoint& point = row.point;
  const double bound = row.batch > 0 ? std::nan("") : BoundOf(row, rows);
  std::string line = fmt::format(
      "{}{:>10.1f}{:>9.2f}{:>8.2f}{:>8.2f}{:>9.1f}{:>8}{:>10}{:>8}{:>7.2f}%", start,
      point.TokensPerSecond(), point.gap.mean * 1e3, point.gap.p50 * 1e3, point.gap.p99 * 1e3,
      point.running, point.preemptions, row.kv_positions(),
      std::isnan(bound) ? "" : fmt::format("{:.2f}", bound), 100.0 * point.overhead_share);
  if (row.kv_layers < row.layers) line += fmt::format("  KV of {} layer", row.kv_layers);
  return line;
}

std::string Plot(const std::vector<ServingRow>& rows) {
  std::vector<io::Chart> panels;
  const bool published = std::ranges::any_of(rows, [](const ServingRow& row) {
    return row.geometry == "llama-7b" && row.lengths == LengthsPlan{};
  });
  for (const bool budgets : {false, true}) {
    const bool any = std::ranges::any_of(
        rows, [&](const ServingRow& row) { return (row.batch == 0) == budgets; });
    if (!any) continue;
    const std::string at = budgets ? "in equal memory" : "at equal batches";
    panels.push_back(Panel(rows, budgets, "Throughput " + at, "tokens/s",
                           [](const ServingPoint& point) { return point.TokensPerSecond(); }));
    if (published) panels.push_back(budgets ? PublishedInEqualMemory() : PublishedThroughput());
    panels.push_back(Panel(rows, budgets, "Time between tokens " + at, "ms, mean",
                           [](const ServingPoint& point) { return point.gap.mean * 1e3; }));
    if (published && !budgets) panels.push_back(PublishedLatency());
  }
  return io::RenderSvg(std::span<const io::Chart>(panels));
}

}  // namespace atom::bench
