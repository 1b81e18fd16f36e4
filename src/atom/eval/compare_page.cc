#include "atom/eval/compare_page.h"

#include <cmath>
#include <fmt/core.h>
#include <limits>

#include "atom/io/svg.h"

namespace atom::eval {
namespace {

// Plots are drawn for white paper; in the dark their ink and rules change with the page's.
constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2126; --faint: #5c6570;
        --rule: #dfe3e8; --stripe: #f6f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e8eaed; --faint: #9aa4af; --rule: #333a42; --stripe: #1b1f24; }
}
body { background: var(--paper); color: var(--ink); margin: 2.5rem auto; padding: 0 1.25rem;
       max-width: 64rem; font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p, figcaption { color: var(--faint); margin: .25rem 0 .75rem; max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap;
         border-bottom: 1px solid var(--rule); }
th { color: var(--faint); font-weight: 600; font-size: .85rem; }
th:first-child, td:first-child { text-align: left; }
tbody tr:nth-child(even) { background: var(--stripe); }
figure { margin: 1rem 0 2rem; }
figure svg { width: 100%; height: auto; }
figure svg > rect:first-of-type { fill: none; }
figure svg text { fill: var(--ink); }
figure svg text[stroke] { stroke: var(--paper); }
figure svg line { stroke: var(--rule); }
figure svg line[stroke="#444444"] { stroke: var(--faint); }
figure svg .whisker { stroke: var(--ink); }
)";

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '&':
        escaped += "&amp;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Cells(const std::vector<std::string>& cells, std::string_view tag) {
  std::string row = "<tr>";
  for (const std::string& cell : cells) row += fmt::format("<{0}>{1}</{0}>", tag, Escape(cell));
  return row + "</tr>\n";
}

std::string Table(const std::vector<std::string>& head,
                  const std::vector<std::vector<std::string>>& rows) {
  std::string table =
      "<div class=\"scroll\"><table>\n<thead>" + Cells(head, "th") + "</thead>\n<tbody>\n";
  for (const std::vector<std::string>& row : rows) table += Cells(row, "td");
  return table + "</tbody></table></div>\n";
}

std::string WithError(const Estimate& estimate) {
  if (!estimate.standard_error) return fmt::format("{:.4f}", estimate.mean);
  return fmt::format("{:.4f} ± {:.4f}", estimate.mean, *estimate.standard_error);
}

std::string Figure(const io::Chart& chart, std::string_view caption) {
  return fmt::format("<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n", io::RenderSvg(chart),
                     Escape(caption));
}

std::string ModelsSection(const CompareReport& report) {
  std::vector<std::vector<std::string>> rows;
  for (const ModelFigures& model : report.models) {
    const std::string recipe = model.simulated ? model.recipe + ", simulated" : model.recipe;
    rows.push_back({model.name, recipe.empty() ? "unquantized" : recipe,
                    fmt::format("{:.3f}", model.bits_per_weight), fmt::format("{}", model.kv_bits),
                    fmt::format("{:.1f}", static_cast<double>(model.bytes) / (1 << 20))});
  }
  return "<h2>Models</h2>\n<p>Bits per weight of the linears as stored, bits of the KV cache, size "
         "of the files in MiB (of a simulated artifact that of its dequantized weights). The first "
         "is "
         "the baseline.</p>\n" +
         Table({"model", "recipe", "bits", "KV", "MiB"}, rows);
}

std::string DeltaFigure(const CompareReport& report) {
  io::Chart chart{.title = "Loss beyond the baseline",
                  .y_label = "Δ, nats a token",
                  .categories = {},
                  .series = {},
                  .style = io::ChartStyle::kBars};
  for (size_t m = 1; m < report.models.size(); ++m) {
    chart.categories.push_back(report.models[m].name);
  }
  for (const TextComparison& text : report.texts) {
    io::ChartSeries series{.name = text.dataset, .values = {}, .errors = {}};
    for (size_t m = 1; m < report.models.size(); ++m) {
      const Estimate delta = Judge(text, m).delta;
      series.values.push_back(delta.mean);
      series.errors.push_back(delta.standard_error.value_or(kMissing));
    }
    chart.series.push_back(std::move(series));
  }
  return Figure(chart,
                "Mean negative log-likelihood less the baseline's on the same windows; the "
                "whiskers are one paired standard error.");
}

std::string TextSection(const CompareReport& report, const TextComparison& text) {
  std::vector<std::vector<std::string>> rows;
  for (size_t m = 0; m < text.models.size(); ++m) {
    const Verdict verdict = Judge(text, m);
    std::vector<std::string> row = {report.models[m].name,
                                    fmt::format("{:.4f}", verdict.perplexity)};
    if (m == 0) {
      row.insert(row.end(), {"baseline", "", "", ""});
    } else {
      row.insert(
          row.end(),
          {WithError(verdict.delta), WithError(verdict.kl), fmt::format("{:.4f}", verdict.top1),
           fmt::format("{:+.4f} (no. {})", verdict.worst_delta, verdict.worst_window + 1)});
    }
    row.push_back(fmt::format("{:.1f}", verdict.tokens_per_second));
    rows.push_back(std::move(row));
  }
  io::Chart chart{.title = text.dataset + ": loss beyond the baseline, window by window",
                  .y_label = "Δ, nats a token",
                  .categories = {},
                  .series = {},
                  .style = io::ChartStyle::kLines};
  for (int64_t i = 0; i < text.windows; ++i) chart.categories.push_back(fmt::format("{}", i + 1));
  for (size_t m = 1; m < text.models.size(); ++m) {
    io::ChartSeries series{.name = report.models[m].name, .values = {}};
    for (size_t i = 0; i < text.models[m].losses.size(); ++i) {
      series.values.push_back(text.models[m].losses[i] - text.models.front().losses[i]);
    }
    chart.series.push_back(std::move(series));
  }
  return fmt::format("<h2>{}</h2>\n<p>{} windows of {} tokens.</p>\n{}{}", Escape(text.dataset),
                     text.windows, text.window,
                     Table({"model", "perplexity", "Δ ± stderr", "KL ± stderr", "top-1",
                            "worst window", "tokens/s"},
                           rows),
                     Figure(chart, "Each window is the same text for every model."));
}

io::Chart LayerChart(std::string title, size_t layers) {
  io::Chart chart{.title = std::move(title),
                  .y_label = "relative error",
                  .categories = {},
                  .series = {},
                  .style = io::ChartStyle::kLines};
  for (size_t i = 0; i < layers; ++i) chart.categories.push_back(fmt::format("{}", i + 1));
  return chart;
}

std::string StreamFigure(const CompareReport& report) {
  io::Chart chart = LayerChart("Residual stream after each layer", report.layers.front().size());
  for (size_t m = 0; m < report.layers.size(); ++m) {
    io::ChartSeries series{.name = report.models[m + 1].name, .values = {}};
    for (const LayerError& layer : report.layers[m]) series.values.push_back(layer.after_ffn);
    chart.series.push_back(std::move(series));
  }
  return Figure(chart,
                "Layers from left to right: √(mean over tokens of ‖x̂ − x‖² / ‖x‖²), x the "
                "baseline's stream.");
}

std::string SitesFigure(const std::string& name, const std::vector<LayerError>& layers) {
  io::Chart chart = LayerChart(name + ": what the linears read", layers.size());
  for (size_t site = 0; site < layers.front().sites.size(); ++site) {
    io::ChartSeries series{.name = layers.front().sites[site].first, .values = {}};
    for (const LayerError& layer : layers) {
      series.values.push_back(site < layer.sites.size() ? layer.sites[site].second : kMissing);
    }
    chart.series.push_back(std::move(series));
  }
  return Figure(chart,
                "Layers from left to right: inputs of the linears, quantized, in the baseline's "
                "order of channels.");
}

}  // namespace

std::string ComparePage(const CompareReport& report) {
  const std::string title = "Compared with " + report.models.front().name;
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{0}</title>\n"
      "<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n",
      Escape(title), kStyle);
  page +=
      "<p>Δ is the mean negative log-likelihood less the baseline's, 0.01 is about one per cent "
      "of perplexity. KL is KL(baseline ‖ model) in nats; top-1 the share of predictions whose "
      "likeliest token is the baseline's.</p>\n";
  page += ModelsSection(report);
  page += "<h2>In short</h2>\n" + DeltaFigure(report);
  for (const TextComparison& text : report.texts) page += TextSection(report, text);
  if (!report.layers.empty()) {
    page += fmt::format("<h2>Layer by layer</h2>\n<p>The first window of {}.</p>\n",
                        Escape(report.texts.front().dataset));
    page += StreamFigure(report);
    for (size_t m = 0; m < report.layers.size(); ++m) {
      page += SitesFigure(report.models[m + 1].name, report.layers[m]);
    }
  }
  return page + "</body>\n</html>\n";
}

}  // namespace atom::eval
