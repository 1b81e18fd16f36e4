// What many latencies were: mean and percentiles.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace atom::bench {

/// Zero everywhere if there was none.
struct LatencySummary {
  int64_t count = 0;
  double mean = 0.0;
  double p50 = 0.0;
  double p90 = 0.0;
  double p99 = 0.0;
  double max = 0.0;
};

/// The value at `fraction` of the way through the sorted values, between two of them in proportion,
/// as numpy.percentile. REQUIRES: sorted, not empty.
double Percentile(const std::vector<double>& sorted, double fraction);

LatencySummary Summarize(std::vector<double> values);

/// {"count", "mean", "p50", "p90", "p99", "max"}; values in milliseconds, of seconds.
nlohmann::json MillisecondsToJson(const LatencySummary& seconds);

}  // namespace atom::bench
