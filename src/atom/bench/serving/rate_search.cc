#include "atom/bench/serving/rate_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace atom::bench {
namespace {

double LowestThatFails(const std::vector<RateTrial>& trials) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const RateTrial& trial : trials) {
    if (!trial.holds) lowest = std::min(lowest, trial.rate);
  }
  return lowest;
}

}  // namespace

std::optional<double> HighestRate(const std::vector<RateTrial>& trials) {
  const double failed = LowestThatFails(trials);
  std::optional<double> highest;
  for (const RateTrial& trial : trials) {
    if (!trial.holds || trial.rate >= failed) continue;
    highest = std::max(highest.value_or(trial.rate), trial.rate);
  }
  return highest;
}

std::optional<double> NextRate(const RateSearch& search, const std::vector<RateTrial>& trials) {
  if (trials.empty()) return search.first;
  if (static_cast<int>(trials.size()) >= search.most_trials) return std::nullopt;
  const double failed = LowestThatFails(trials);
  const std::optional<double> holds = HighestRate(trials);
  if (std::isinf(failed)) return *holds * search.step;
  if (!holds) {
    const double lower = failed / search.step;
    return lower >= search.least ? std::optional(lower) : std::nullopt;
  }
  if (failed / *holds <= search.within) return std::nullopt;
  return std::sqrt(failed * *holds);
}

}  // namespace atom::bench
