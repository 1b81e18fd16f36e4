#include "atom/eval/estimate.h"

#include <cmath>
#include <numeric>
#include <vector>

#include "atom/core/check.h"

namespace atom::eval {

Estimate MeanOf(std::span<const double> values) {
  ATOM_CHECK(!values.empty(), "the mean of nothing");
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return {.mean = mean};
  double squares = 0.0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {.mean = mean, .standard_error = std::sqrt(squares / (n - 1.0) / n)};
}

Estimate PairedDifference(std::span<const double> baseline, std::span<const double> values) {
  ATOM_CHECK(baseline.size() == values.size(), "{} values beside {}", values.size(),
             baseline.size());
  std::vector<double> differences(values.size());
  for (size_t i = 0; i < values.size(); ++i) differences[i] = values[i] - baseline[i];
  return MeanOf(differences);
}

WorstWindow LargestDifference(std::span<const double> baseline, std::span<const double> values) {
  ATOM_CHECK(baseline.size() == values.size() && !values.empty(), "{} values beside {}",
             values.size(), baseline.size());
  WorstWindow worst{.index = 0, .difference = values[0] - baseline[0]};
  for (size_t i = 1; i < values.size() && !std::isnan(worst.difference); ++i) {
    const double difference = values[i] - baseline[i];
    if (difference <= worst.difference) continue;
    worst = {.index = static_cast<int64_t>(i), .difference = difference};
  }
  return worst;
}

}  // namespace atom::eval
