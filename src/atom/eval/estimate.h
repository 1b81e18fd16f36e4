// Means of windows and how sure they are. Windows stand for independent samples of a text; two
// models are compared on the same ones, so that what a window has in common for both cancels.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace atom::eval {

struct Estimate {
  double mean = 0.0;
  std::optional<double> standard_error = {};  ///< absent for a single value
  friend bool operator==(const Estimate&, const Estimate&) = default;
};

/// Standard error: the standard deviation of the sample (n − 1) / √n. REQUIRES: a value.
Estimate MeanOf(std::span<const double> values);
/// Of values[i] − baseline[i]: the paired standard error. REQUIRES: as many of both.
Estimate PairedDifference(std::span<const double> baseline, std::span<const double> values);

/// The window that loses most.
struct WorstWindow {
  int64_t index = 0;
  double difference = 0.0;
};
/// The first of the largest values[i] − baseline[i]; a NaN is larger than all. REQUIRES: as above,
/// a value.
WorstWindow LargestDifference(std::span<const double> baseline, std::span<const double> values);

}  // namespace atom::eval
