#include "atom/quant/stats.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"

namespace atom::quant {

ChannelStatistic::ChannelStatistic(Metric metric, int64_t channels)
    : metric_(metric), values_(static_cast<size_t>(channels), 0.0) {}

void AddSample(Metric metric, std::span<const float> x, int64_t rows, std::span<double> sums) {
  const size_t channels = sums.size();
  ATOM_CHECK(x.size() == static_cast<size_t>(rows) * channels, "{} values, {} rows of {}", x.size(),
             rows, channels);
  if (rows == 0) return;
  std::vector<double> of_sample(channels, 0.0);
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    const float* values = x.data() + row * channels;
    for (size_t c = 0; c < channels; ++c) {
      const double value = values[c];
      of_sample[c] += metric == Metric::kHessian ? value * value : std::fabs(value);
    }
  }
  for (size_t c = 0; c < channels; ++c) {
    sums[c] = metric == Metric::kHessian
                  ? sums[c] + of_sample[c]
                  : std::max(sums[c], of_sample[c] / static_cast<double>(rows));
  }
}

std::vector<float> FinishStatistic(Metric metric, std::span<const double> sums, int64_t samples) {
  const double factor =
      metric == Metric::kHessian ? 2.0 / static_cast<double>(std::max<int64_t>(samples, 1)) : 1.0;
  std::vector<float> statistic(sums.size());
  for (size_t c = 0; c < sums.size(); ++c) statistic[c] = static_cast<float>(sums[c] * factor);
  return statistic;
}

void ChannelStatistic::AddSample(std::span<const float> x, int64_t rows) {
  ++samples_;
  quant::AddSample(metric_, x, rows, values_);
}

std::vector<float> ChannelStatistic::Finish() const {
  return FinishStatistic(metric_, values_, samples_);
}

}  // namespace atom::quant
