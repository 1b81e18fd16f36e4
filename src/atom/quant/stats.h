// The calibration statistic of one edge: a number per channel, by which channels are reordered.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/quant/formats.h"

namespace atom::quant {

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
