// Whether values are finite, told without a branch a value: matrices of GPTQ are looked at whole.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace atom::quant {

inline bool AllFinite(std::span<const float> values) {
  constexpr uint32_t kExponent = 0x7f800000;  // all ones in infinities and NaN
  uint32_t any = 0;
  for (const float value : values) {
    any |= (std::bit_cast<uint32_t>(value) & kExponent) == kExponent ? 1u : 0u;
  }
  return any == 0;
}

}  // namespace atom::quant
