#include "atom/bench/serving/load_report.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/io/svg.h"

namespace atom::bench {
namespace {

struct LatencyRow {
  const char* name;
  const char* field;
  LatencySummary LoadReport::*summary;
};
constexpr std::array kLatencies = {
    LatencyRow{"time to first token", "ttft_ms", &LoadReport::first},
    LatencyRow{"between tokens", "itl_ms", &LoadReport::gap},
    LatencyRow{"per output token", "tpot_ms", &LoadReport::token},
    LatencyRow{"end to end", "e2e_ms", &LoadReport::whole},
    LatencyRow{"client's lateness", "lateness_ms", &LoadReport::lateness},
};

double MeanGap(const CompletionRecord& record) {
  if (record.output_tokens < 2) return 0.0;
  return (record.finished - record.first) / static_cast<double>(record.output_tokens - 1);
}

bool Keeps(const CompletionRecord& record, const LatencyGoals& goals) {
  return (goals.first == 0.0 || record.first - record.due <= goals.first) &&
         (goals.gap == 0.0 || MeanGap(record) <= goals.gap);
}

}  // namespace

LoadReport MakeLoadReport(const std::vector<CompletionRecord>& records, const LatencyGoals& goals) {
  LoadReport report;
  std::vector<double> first, gaps, tokens, whole, lateness;
  double end = 0.0;
  double begin = records.empty() ? 0.0 : records.front().due;
  for (const CompletionRecord& record : records) {
    ++report.requests;
    begin = std::min(begin, record.due);
    end = std::max(end, record.finished);
    if (!record.ok()) {
      const std::string kind(Name(record.failure));
      ++report.errors[kind];
      report.examples.try_emplace(kind, record.error);
      continue;
    }
    ++report.completed;
    report.prompt_tokens += record.prompt_tokens;
    report.output_tokens += record.output_tokens;
    report.good += Keeps(record, goals) ? 1 : 0;
    first.push_back(record.first - record.due);
    gaps.insert(gaps.end(), record.gaps.begin(), record.gaps.end());
    if (record.output_tokens > 1) tokens.push_back(MeanGap(record));
    whole.push_back(record.finished - record.due);
    lateness.push_back(record.sent - record.due);
  }
  report.seconds = std::max(end - begin, 0.0);
  report.first = Summarize(std::move(first));
  report.gap = Summarize(std::move(gaps));
  report.token = Summarize(std::move(tokens));
  report.whole = Summarize(std::move(whole));
  report.lateness = Summarize(std::move(lateness));
  return report;
}

nlohmann::json ToJson(const LoadReport& report) {
  nlohmann::json json = {
      {"model", report.model},
      {"requests", report.requests},
      {"completed", report.completed},
      {"cut", report.cut},
      {"seconds", report.seconds},
      {"prompt_tokens", report.prompt_tokens},
      {"output_tokens", report.output_tokens},
      {"requests_per_second", report.PerSecond(report.completed)},
      {"output_tokens_per_second", report.PerSecond(report.output_tokens)},
      {"tokens_per_second", report.PerSecond(report.prompt_tokens + report.output_tokens)},
      {"good", report.good},
      {"goodput_per_second", report.PerSecond(report.good)},
      {"errors", report.errors},
      {"error_examples", report.examples}};
  for (const LatencyRow& row : kLatencies) {
    json[row.field] = MillisecondsToJson(report.*row.summary);
  }
  return json;
}

std::string Table(const LoadReport& report) {
  std::string text = fmt::format(
      "{} of {} requests completed in {:.1f} s, {} cut to the context\n"
      "{:.2f} requests/s, {:.1f} output tokens/s, {:.1f} tokens/s with prompts\n"
      "{:.2f} requests/s within the latency goals\n\n"
      "{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}\n",
      report.completed, report.requests, report.seconds, report.cut,
      report.PerSecond(report.completed), report.PerSecond(report.output_tokens),
      report.PerSecond(report.prompt_tokens + report.output_tokens), report.PerSecond(report.good),
      "ms", "mean", "p50", "p90", "p99", "max");
  for (const LatencyRow& row : kLatencies) {
    const LatencySummary& s = report.*row.summary;
    text += fmt::format("{:<22}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}\n", row.name,
                        s.mean * 1e3, s.p50 * 1e3, s.p90 * 1e3, s.p99 * 1e3, s.max * 1e3);
  }
  for (const auto& [kind, count] : report.errors) {
    text +=
        fmt::format("error {}: {} requests; first: {}\n", kind, count, report.examples.at(kind));
  }
  return text;
}

std::string Plot(const LoadReport& report, const std::string& title) {
  io::Chart chart{.title = title,
                  .y_label = "ms",
                  .categories = {"mean", "p50", "p90", "p99"},
                  .series = {},
                  .style = io::ChartStyle::kBars,
                  .log_y = true};
  for (const LatencyRow& row : kLatencies) {
    if (row.summary == &LoadReport::lateness) continue;
    const LatencySummary& s = report.*row.summary;
    chart.series.push_back({row.name, {s.mean * 1e3, s.p50 * 1e3, s.p90 * 1e3, s.p99 * 1e3}});
  }
  return io::RenderSvg(chart);
}

}  // namespace atom::bench
