#include "atom/model/rope.h"

#include <algorithm>
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

/// The pair that turns `rotations` times in the original context, as a real number.
double YarnPair(const RopeSpec& rope, double rotations) {
  const auto original = static_cast<double>(rope.scaling.original_max_position);
  return static_cast<double>(rope.rotary_dim) *
         std::log(original / (rotations * 2.0 * std::numbers::pi)) / (2.0 * std::log(rope.theta));
}

/// YaRN: pairs that turn often are kept, those that turn seldom stretched by the factor, those
/// between blended by their number.
double ScaleYarn(double inv_freq, int64_t pair, const RopeSpec& rope) {
  const RopeScaling& scaling = rope.scaling;
  double first = YarnPair(rope, scaling.beta_fast);
  double last = YarnPair(rope, scaling.beta_slow);
  if (scaling.truncate) {
    first = std::floor(first);
    last = std::ceil(last);
  }
  first = std::max(first, 0.0);
  last = std::min(last, static_cast<double>(rope.rotary_dim) - 1.0);
  if (first == last) last += 0.001;
  const double ramp = std::clamp((static_cast<double>(pair) - first) / (last - first), 0.0, 1.0);
  return ramp * inv_freq / scaling.factor + (1.0 - ramp) * inv_freq;
}

double Scale(double inv_freq, int64_t pair, const RopeSpec& rope, int64_t positions) {
  const RopeScaling& scaling = rope.scaling;
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
    case RopeScaling::Kind::kDynamic:  // its theta is another
      return inv_freq;
    case RopeScaling::Kind::kLinear:
      return inv_freq / scaling.factor;
    case RopeScaling::Kind::kLlama3:
      return ScaleLlama3(inv_freq, scaling);
    case RopeScaling::Kind::kYarn:
      return ScaleYarn(inv_freq, pair, rope);
    case RopeScaling::Kind::kLongRope: {
      const bool is_long = positions > scaling.original_max_position;
      const auto& factors = is_long ? scaling.long_factors : scaling.short_factors;
      return inv_freq / factors.at(static_cast<size_t>(pair));
    }
  }
  return inv_freq;
}

/// Dynamic NTK: beyond the original context theta grows so that the last pair turns as often as it
/// did, stretched.
double Theta(const RopeSpec& rope, int64_t positions) {
  const RopeScaling& scaling = rope.scaling;
  const int64_t original = scaling.original_max_position;
  if (scaling.kind != RopeScaling::Kind::kDynamic || positions <= original) return rope.theta;
  const double stretch =
      scaling.factor * static_cast<double>(positions) / static_cast<double>(original) -
      (scaling.factor - 1.0);
  const auto dim = static_cast<double>(rope.rotary_dim);
  return rope.theta * std::pow(stretch, dim / (dim - 2.0));
}

}  // namespace

std::vector<float> RopeInverseFrequencies(const RopeSpec& rope, int64_t positions) {
  const int64_t half = rope.rotary_dim / 2;
  const double theta = Theta(rope, positions);
  std::vector<float> frequencies(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(rope.rotary_dim);
    const auto inv_freq = static_cast<float>(std::pow(theta, -exponent));
    frequencies[static_cast<size_t>(i)] = static_cast<float>(Scale(inv_freq, i, rope, positions));
  }
  return frequencies;
}

std::vector<float> RopeTableValues(const RopeSpec& rope, int64_t positions) {
  const std::vector<float> frequencies = RopeInverseFrequencies(rope, positions);
  const auto factor = static_cast<float>(rope.scaling.attention_factor);
  const size_t half = frequencies.size();
  std::vector<float> table(static_cast<size_t>(positions) * 2 * half);
  for (int64_t position = 0; position < positions; ++position) {
    float* cos_row = table.data() + static_cast<size_t>(position) * 2 * half;
    float* sin_row = cos_row + half;
    for (size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * frequencies[i];
      cos_row[i] = factor * static_cast<float>(std::cos(static_cast<double>(angle)));
      sin_row[i] = factor * static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  return table;
}

}  // namespace atom::model
