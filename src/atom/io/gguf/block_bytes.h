// Bytes of a block as the numbers that they are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "atom/core/half.h"

namespace atom::io {

inline int ByteAt(const std::byte* bytes, int i) { return std::to_integer<int>(bytes[i]); }

inline int SignedByteAt(const std::byte* bytes, int i) {
  return static_cast<int8_t>(std::to_integer<uint8_t>(bytes[i]));
}

/// A little-endian fp16, widened.
inline float HalfAt(const std::byte* bytes) {
  return ToFloat(Half{static_cast<uint16_t>(ByteAt(bytes, 0) | ByteAt(bytes, 1) << 8)});
}

/// Nibble i of an array in which all low ones of `half` bytes come before all high ones.
inline int SplitNibble(const std::byte* bytes, int i, int half) {
  const int byte = ByteAt(bytes, i % half);
  return i < half ? byte & 15 : byte >> 4;
}

/// The values of the codes of IQ4_NL and IQ4_XS.
inline constexpr std::array<float, 16> kNonlinearValues = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace atom::io
