// The highest rate at which something still holds, by few trials, each of which is dear: up in
// steps as long as it holds (down as long as it does not), then between the two in equal ratios.
#pragma once

#include <functional>
#include <optional>
#include <vector>

namespace atom::bench {

struct RateSearch {
  double first = 1.0;  ///< where it begins
  double step = 1.5;   ///< by which it goes up or down; > 1
  double within =
      1.1;  ///< ends where the highest that holds and the lowest that does not are so near
  double least = 1e-2;  ///< no rate below is tried
  int most_trials = 12;
};

struct RateTrial {
  double rate = 0.0;
  bool holds = false;
};

/// The next rate to try behind those `trials`, in whatever order they were made; nothing: the
/// search is over.
std::optional<double> NextRate(const RateSearch& search, const std::vector<RateTrial>& trials);

/// The highest that holds below the lowest that does not; nothing if none does.
std::optional<double> HighestRate(const std::vector<RateTrial>& trials);

}  // namespace atom::bench
