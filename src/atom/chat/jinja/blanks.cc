#include "atom/chat/jinja/blanks.h"

#include "atom/tokenizer/unicode.h"

namespace atom::chat::jinja {

bool IsBlank(char32_t code) { return tokenizer::IsSpace(code) || (code >= 0x1C && code <= 0x1F); }

size_t LeadingBlanks(std::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    const tokenizer::Utf8Char c = tokenizer::NextChar(text, pos);
    if (!IsBlank(c.code)) break;
    pos += c.length;
  }
  return pos;
}

size_t TrailingBlanks(std::string_view text) {
  size_t end = 0;  // of what is not blank
  for (size_t pos = 0; pos < text.size();) {
    const tokenizer::Utf8Char c = tokenizer::NextChar(text, pos);
    pos += c.length;
    if (!IsBlank(c.code)) end = pos;
  }
  return text.size() - end;
}

size_t CountChars(std::string_view text) {
  size_t count = 0;
  for (size_t pos = 0; pos < text.size(); ++count) pos += tokenizer::NextChar(text, pos).length;
  return count;
}

size_t ByteOffset(std::string_view text, size_t index) {
  size_t pos = 0;
  for (; index > 0 && pos < text.size(); --index) pos += tokenizer::NextChar(text, pos).length;
  return pos;
}

size_t LineEnd(std::string_view text, size_t pos, size_t& next) {
  while (pos < text.size()) {
    const tokenizer::Utf8Char c = tokenizer::NextChar(text, pos);
    const bool breaks = (c.code >= 0x0A && c.code <= 0x0D) || (c.code >= 0x1C && c.code <= 0x1E) ||
                        c.code == 0x85 || c.code == 0x2028 || c.code == 0x2029;
    if (breaks) {
      next = pos + c.length;
      if (c.code == '\r' && next < text.size() && text[next] == '\n') ++next;
      return pos;
    }
    pos += c.length;
  }
  return next = pos;
}

}  // namespace atom::chat::jinja
