#include "atom/model/rope.h"

#include <cmath>
#include <numbers>

namespace atom::model {
namespace {

/// Llama 3's rule: wavelengths that the original context holds often stay, long ones are stretched
/// by the factor, those between are blended.
double ScaleLlama3(double inv_freq, const RopeScaling& scaling) {
  const auto original = static_cast<double>(scaling.original_max_position);
  const double wavelength = 2.0 * std::numbers::pi / inv_freq;
  if (wavelength < original / scaling.high_freq_factor) return inv_freq;
  if (wavelength > original / scaling.low_freq_factor) return inv_freq / scaling.factor;
  const double smooth = (original / wavelength - scaling.low_freq_factor) /
                        (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1.0 - smooth) * inv_freq / scaling.factor + smooth * inv_freq;
}

double Scale(double inv_freq, const RopeScaling& scaling) {
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
      return inv_freq;
    case RopeScaling::Kind::kLinear:
      return inv_freq / scaling.factor;
    case RopeScaling::Kind::kLlama3:
      return ScaleLlama3(inv_freq, scaling);
  }
  return inv_freq;
}

}  // namespace

std::vector<float> RopeInverseFrequencies(const RopeSpec& rope) {
  const int64_t half = rope.rotary_dim / 2;
  std::vector<float> frequencies(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(rope.rotary_dim);
    const auto inv_freq = static_cast<float>(std::pow(rope.theta, -exponent));
    frequencies[static_cast<size_t>(i)] = static_cast<float>(Scale(inv_freq, rope.scaling));
  }
  return frequencies;
}

std::vector<float> RopeTableValues(const RopeSpec& rope, int64_t positions) {
  const std::vector<float> frequencies = RopeInverseFrequencies(rope);
  const size_t half = frequencies.size();
  std::vector<float> table(static_cast<size_t>(positions) * 2 * half);
  for (int64_t position = 0; position < positions; ++position) {
    float* cos_row = table.data() + static_cast<size_t>(position) * 2 * half;
    float* sin_row = cos_row + half;
    for (size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * frequencies[i];
      cos_row[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin_row[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  return table;
}

}  // namespace atom::model
