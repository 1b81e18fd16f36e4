#include "atom/bench/serving/published_figure.h"

#include <fmt/format.h>

namespace atom::bench {
namespace {

io::Chart AtBatches(std::string title, std::string y_label,
                    const std::array<double, 6> PublishedCurve::*values) {
  io::Chart chart{.title = "Published, one RTX 4090: " + std::move(title),
                  .y_label = std::move(y_label),
                  .categories = {},
                  .series = {},
                  .style = io::ChartStyle::kLines,
                  .log_y = true};
  for (const int64_t batch : kPublishedBatches) {
    chart.categories.push_back(fmt::format("batch {}", batch));
  }
  for (const PublishedCurve& curve : kPublishedCurves) {
    const std::array<double, 6>& points = curve.*values;
    chart.series.push_back({std::string(curve.name), {points.begin(), points.end()}});
  }
  return chart;
}

}  // namespace

io::Chart PublishedThroughput() {
  return AtBatches("throughput at equal batches", "tokens/s", &PublishedCurve::tokens_per_second);
}

io::Chart PublishedLatency() {
  return AtBatches("time between tokens at equal batches", "ms, mean",
                   &PublishedCurve::milliseconds);
}

io::Chart PublishedInEqualMemory() {
  io::Chart chart{.title = "Published, one RTX 4090: throughput in 24 GB, 2,048 positions a slot",
                  .y_label = "tokens/s",
                  .categories = {},
                  .series = {}};
  io::ChartSeries series{.name = "batch, and how many times it Atom gave, as printed",
                         .values = {}};
  for (const PublishedCurve& curve : kPublishedCurves) {
    chart.categories.push_back(
        fmt::format("{}, batch {}: {:g}x", curve.name, curve.memory_batch, curve.atom_times));
    series.values.push_back(curve.memory_tokens_per_second);
  }
  chart.series.push_back(std::move(series));
  return chart;
}

}  // namespace atom::bench
