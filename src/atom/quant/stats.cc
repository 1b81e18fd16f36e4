#include "atom/quant/stats.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"

namespace atom::quant {

ChannelStatistic::ChannelStatistic(Metric metric, int64_t channels)
    : metric_(metric), values_(static_cast<size_t>(channels), 0.0) {}

void ChannelStatistic::AddSample(std::span<const float> x, int64_t rows) {
  const size_t channels = values_.size();
  ATOM_CHECK(x.size() == static_cast<size_t>(rows) * channels, "{} values, {} rows of {}", x.size(),
             rows, channels);
  ++samples_;
  if (rows == 0) return;
  std::vector<double> sums(channels, 0.0);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    const float* values = x.data() + row * channels;
    for (size_t c = 0; c < channels; ++c) {
      const double value = values[c];
      sums[c] += metric_ == Metric::kHessian ? value * value : std::fabs(value);
    }
  }
  for (size_t c = 0; c < channels; ++c) {
    values_[c] = metric_ == Metric::kHessian
                     ? values_[c] + sums[c]
                     : std::max(values_[c], sums[c] / static_cast<double>(rows));
  }
}

std::vector<float> ChannelStatistic::Finish() const {
  const double factor =
      metric_ == Metric::kHessian ? 2.0 / static_cast<double>(std::max<int64_t>(samples_, 1)) : 1.0;
  std::vector<float> statistic(values_.size());
  for (size_t c = 0; c < values_.size(); ++c) {
    statistic[c] = static_cast<float>(values_[c] * factor);
  }
  return statistic;
}

}  // namespace atom::quant
