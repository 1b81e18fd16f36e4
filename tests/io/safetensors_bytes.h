// Spells safetensors files by hand, right ones and wrong ones, independently of the writer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace atom::io {

/// The eight bytes of a length, lowest first.
inline std::string LengthBytes(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((length >> (8 * i)) & 255);
  return bytes;
}

/// Length, header and data.
inline std::string SafetensorsBytes(std::string_view header, std::string_view data) {
  return LengthBytes(header.size()).append(header).append(data);
}

}  // namespace atom::io
