#include "atom/quant/two_level.h"

#include <bit>
#include <cmath>

#include "atom/core/check.h"
#include "atom/quant/rounding.h"

namespace atom::quant {
namespace {

/// fp32 has 24 significant bits: these are dropped.
constexpr uint32_t kDropped = 0xfffu;

}  // namespace

float RowScale(float largest_step) {
  ATOM_CHECK(largest_step > 0.0f && std::isfinite(largest_step), "a step of {}", largest_step);
  const uint32_t bits = std::bit_cast<uint32_t>(largest_step / static_cast<float>(kMaxMultiplier));
  const uint32_t odd = (bits >> 12) & 1u;  // ties to even
  return std::bit_cast<float>((bits + kDropped / 2 + odd) & ~kDropped);
}

int Multiplier(float step, float row_scale) {
  const float most = static_cast<float>(kMaxMultiplier);
  return static_cast<int>(RoundHalfEven(Clamp(step / row_scale, 1.0f, most)));
}

bool IsRowScale(float value) {
  return value > 0.0f && std::isfinite(value) && (std::bit_cast<uint32_t>(value) & kDropped) == 0;
}

}  // namespace atom::quant
