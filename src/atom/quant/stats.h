// The calibration statistic of one edge: a number per channel, by which channels are reordered.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/quant/formats.h"

namespace atom::quant {

/// What one sample x[rows][channels] adds to sums[channels], which begin at 0: hessian: Σ x²;
/// abs_mean: the larger one of the sum and the mean of |x|.
void AddSample(Metric metric, std::span<const float> x, int64_t rows, std::span<double> sums);
/// The statistic of that many samples.
std::vector<float> FinishStatistic(Metric metric, std::span<const double> sums, int64_t samples);

class ChannelStatistic {
 public:
  ChannelStatistic(Metric metric, int64_t channels);
  /// The inputs x[rows][channels] of one calibration sample (all its tokens at once).
  void AddSample(std::span<const float> x, int64_t rows);
  /// hessian: (2 / samples) Σ x²; abs_mean: max over samples of mean |x|.
  std::vector<float> Finish() const;

 private:
  Metric metric_;
  int64_t samples_ = 0;
  std::vector<double> values_;
};

}  // namespace atom::quant
