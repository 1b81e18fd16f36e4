#include "atom/chat/jinja/string_literal.h"

#include <algorithm>
#include <charconv>

namespace atom::chat::jinja {
namespace {

constexpr std::string_view kPlain = "\\'\"abfnrtv";
constexpr std::string_view kMeant = "\\'\"\a\b\f\n\r\t\v";

// Hexadecimal digits that \x, \u and \U take; 0 for others.
size_t DigitsAfter(char kind) {
  switch (kind) {
    case 'x':
      return 2;
    case 'u':
      return 4;
    case 'U':
      return 8;
    default:
      return 0;
  }
}

// The number at `pos`, of at most `most` digits; `pos` moves past it.
uint32_t ReadNumber(std::string_view text, size_t& pos, size_t most, int base) {
  uint32_t number = 0;
  const char* begin = text.data() + pos;
  const char* end = begin + std::min(most, text.size() - pos);
  pos += static_cast<size_t>(std::from_chars(begin, end, number, base).ptr - begin);
  return number;
}

}  // namespace

void AppendUtf8(char32_t code, std::string& to) {
  const auto byte = [&](char32_t value) { to += static_cast<char>(value); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) {
    byte(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      byte(0xE0 | code >> 12);
    } else {
      byte(0xF0 | code >> 18);
      byte(0x80 | (code >> 12 & 0x3F));
    }
    byte(0x80 | (code >> 6 & 0x3F));
  }
  byte(0x80 | (code & 0x3F));
}

Result<std::string> Unescape(std::string_view quoted) {
  std::string text;
  size_t pos = 0;
  while (pos < quoted.size()) {
    const char c = quoted[pos++];
    if (c != '\\' || pos == quoted.size()) {
      text += c;
      continue;
    }
    const char kind = quoted[pos++];
    const size_t plain = kPlain.find(kind);
    if (kind == '\n') continue;
    if (plain != kPlain.npos) {
      text += kMeant[plain];
    } else if (kind >= '0' && kind <= '7') {
      AppendUtf8(ReadNumber(quoted, --pos, 3, 8), text);
    } else if (const size_t digits = DigitsAfter(kind); digits > 0) {
      const size_t begin = pos;
      const uint32_t code = ReadNumber(quoted, pos, digits, 16);
      if (pos - begin != digits || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        return MakeError("\\{} in a string, expected {} hexadecimal digits of a character", kind,
                         digits);
      }
      AppendUtf8(code, text);
    } else if (kind == 'N') {
      return MakeError("\\N in a string is not supported");
    } else {
      text += '\\';
      text += kind;
    }
  }
  return text;
}

}  // namespace atom::chat::jinja
