#include "atom/kernels/reference/norm.h"

#include <cmath>
#include <vector>

#include "atom/kernels/backend.h"

namespace atom::kernels::reference {
namespace {

constexpr size_t kLanes = 16;

/// Lane j and j + 8, then j + 4, j + 2, j + 1.
float AddPairwise(float (&lanes)[kLanes]) {
  for (size_t step = kLanes / 2; step > 0; step /= 2) {
    for (size_t j = 0; j < step; ++j) lanes[j] += lanes[j + step];
  }
  return lanes[0];
}

float SumOfSquares(std::span<const float> x) {
  float lanes[kLanes] = {};
  for (size_t k = 0; k < x.size(); ++k) {
    lanes[k % kLanes] = std::fma(x[k], x[k], lanes[k % kLanes]);
  }
  return AddPairwise(lanes);
}

float Sum(std::span<const float> x) {
  float lanes[kLanes] = {};
  for (size_t k = 0; k < x.size(); ++k) lanes[k % kLanes] += x[k];
  return AddPairwise(lanes);
}

std::span<const float> ValuesOf(const DeviceBuffer& buffer, size_t size) {
  ATOM_CHECK(buffer.bytes() == size * sizeof(float), "{} bytes for {} values", buffer.bytes(),
             size);
  return {static_cast<const float*>(buffer.data()), size};
}

}  // namespace

void RmsNorm(std::span<const float> x, std::span<const float> weight, float eps,
             std::span<float> out) {
  const float mean = SumOfSquares(x) / static_cast<float>(x.size());
  const float r = 1.0f / std::sqrt(mean + eps);
  for (size_t k = 0; k < x.size(); ++k) out[k] = x[k] * r * weight[k];
}

void Normalize(std::span<const float> x, const DeviceNorm& norm, std::span<float> out) {
  const std::span<const float> weight = ValuesOf(*norm.weight, x.size());
  if (norm.kind == NormKind::kRms) {
    RmsNorm(x, weight, norm.eps, out);
  } else {
    const float mean = Sum(x) / static_cast<float>(x.size());
    std::vector<float> centered(x.size());
    for (size_t k = 0; k < x.size(); ++k) centered[k] = x[k] - mean;
    RmsNorm(centered, weight, norm.eps, out);
  }
  if (norm.bias == nullptr) return;
  const std::span<const float> bias = ValuesOf(*norm.bias, x.size());
  for (size_t k = 0; k < x.size(); ++k) out[k] += bias[k];
}

}  // namespace atom::kernels::reference
