#include "atom/tokenizer/base64.h"

#include <cstdint>

namespace atom::tokenizer {
namespace {

std::optional<uint32_t> SixBits(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return std::nullopt;
}

}  // namespace

std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  std::string bytes;
  uint32_t pending = 0;
  int pending_bits = 0;
  for (const char c : text) {
    const std::optional<uint32_t> bits = SixBits(c);
    if (!bits) return std::nullopt;
    pending = pending << 6 | *bits;
    pending_bits += 6;
    if (pending_bits < 8) continue;
    pending_bits -= 8;
    bytes.push_back(static_cast<char>(pending >> pending_bits & 0xFF));
    pending &= (1u << pending_bits) - 1;
  }
  if (pending != 0) return std::nullopt;  // bits of a byte that is not there
  return bytes;
}

}  // namespace atom::tokenizer
