#include "atom/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

constexpr int kCharacters = 0x100 + 68;

bool SpellsItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Character → byte, -1 for a character outside the alphabet.
std::array<int16_t, kCharacters> MakeBytes() {
  std::array<int16_t, kCharacters> bytes;
  bytes.fill(-1);
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    bytes[SpellsItself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}

}  // namespace

std::optional<std::string> FromByteAlphabet(std::string_view spelled) {
  static const std::array<int16_t, kCharacters> bytes = MakeBytes();
  std::string raw;
  for (size_t pos = 0; pos < spelled.size();) {
    const Utf8Char next = NextChar(spelled, pos);
    if (next.status != Utf8Status::kValid || next.code >= kCharacters || bytes[next.code] < 0) {
      return std::nullopt;
    }
    raw.push_back(static_cast<char>(bytes[next.code]));
    pos += next.length;
  }
  return raw;
}

std::string ToByteAlphabet(std::string_view raw) {
  static const std::array<char16_t, 256> characters = [] {
    std::array<char16_t, 256> by_byte;
    const std::array<int16_t, kCharacters> bytes = MakeBytes();
    for (size_t code = 0; code < bytes.size(); ++code) {
      if (bytes[code] >= 0) by_byte[static_cast<size_t>(bytes[code])] = static_cast<char16_t>(code);
    }
    return by_byte;
  }();
  std::string spelled;
  spelled.reserve(raw.size() + raw.size() / 2);
  for (const char c : raw) {
    const char16_t code = characters[static_cast<uint8_t>(c)];
    if (code < 0x80) {
      spelled.push_back(static_cast<char>(code));
    } else {
      spelled.push_back(static_cast<char>(0xC0 | code >> 6));
      spelled.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    }
  }
  return spelled;
}

}  // namespace atom::tokenizer
