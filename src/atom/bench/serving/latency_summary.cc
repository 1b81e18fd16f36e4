#include "atom/bench/serving/latency_summary.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "atom/core/check.h"

namespace atom::bench {

double Percentile(const std::vector<double>& sorted, double fraction) {
  ATOM_CHECK(!sorted.empty() && fraction >= 0.0 && fraction <= 1.0, "{} values, fraction {}",
             sorted.size(), fraction);
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

LatencySummary Summarize(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {.count = static_cast<int64_t>(values.size()),
          .mean = sum / static_cast<double>(values.size()),
          .p50 = Percentile(values, 0.5),
          .p90 = Percentile(values, 0.9),
          .p99 = Percentile(values, 0.99),
          .max = values.back()};
}

nlohmann::json MillisecondsToJson(const LatencySummary& seconds) {
  return {{"count", seconds.count},   {"mean", seconds.mean * 1e3}, {"p50", seconds.p50 * 1e3},
          {"p90", seconds.p90 * 1e3}, {"p99", seconds.p99 * 1e3},   {"max", seconds.max * 1e3}};
}

}  // namespace atom::bench
