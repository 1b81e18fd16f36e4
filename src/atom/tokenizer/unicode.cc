#include "atom/tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <utf8proc.h>

namespace atom::tokenizer {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

// What may follow a first byte: Unicode 15, table 3-7.
struct Lead {
  int following;         // continuation bytes; 0 if no sequence starts with this byte
  uint8_t second_low;    // range of the second byte
  uint8_t second_high;   //
  uint8_t payload_bits;  // mask of the first byte's own bits
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0xC2) return {0, 0, 0, 0};
  if (byte < 0xE0) return {1, 0x80, 0xBF, 0x1F};
  if (byte == 0xE0) return {2, 0xA0, 0xBF, 0x0F};
  if (byte == 0xED) return {2, 0x80, 0x9F, 0x0F};
  if (byte < 0xF0) return {2, 0x80, 0xBF, 0x0F};
  if (byte == 0xF0) return {3, 0x90, 0xBF, 0x07};
  if (byte < 0xF4) return {3, 0x80, 0xBF, 0x07};
  if (byte == 0xF4) return {3, 0x80, 0x8F, 0x07};
  return {0, 0, 0, 0};
}

CharClass ClassOfCategory(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::kSpace;
    default:
      break;
  }
  if (code == '\r' || code == '\n') return CharClass::kNewline;
  const bool control_space = (code >= 0x09 && code <= 0x0D) || code == 0x85;
  return control_space ? CharClass::kSpace : CharClass::kOther;
}

}  // namespace

Utf8Char NextChar(std::string_view text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(pos);
  if (first < 0x80) return {first, 1, Utf8Status::kValid};
  const Lead lead = LeadOf(first);
  if (lead.following == 0) return {kReplacement, 1, Utf8Status::kInvalid};
  char32_t code = first & lead.payload_bits;
  for (int i = 1; i <= lead.following; ++i) {
    const auto length = static_cast<uint8_t>(i);
    if (pos + length == text.size()) return {kReplacement, length, Utf8Status::kTruncated};
    const uint8_t low = i == 1 ? lead.second_low : 0x80;
    const uint8_t high = i == 1 ? lead.second_high : 0xBF;
    const uint8_t next = byte(pos + length);
    if (next < low || next > high) return {kReplacement, length, Utf8Status::kInvalid};
    code = code << 6 | (next & 0x3F);
  }
  return {code, static_cast<uint8_t>(lead.following + 1), Utf8Status::kValid};
}

size_t FindInvalid(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    const Utf8Char next = NextChar(text, pos);
    if (next.status != Utf8Status::kValid) return pos;
    pos += next.length;
  }
  return text.size();
}

std::string ToValidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const size_t invalid = FindInvalid(text, pos);
    valid.append(text.substr(pos, invalid - pos));
    if (invalid == text.size()) break;
    valid.append(kReplacementUtf8);
    pos = invalid + NextChar(text, invalid).length;
  }
  return valid;
}

size_t IncompleteTail(std::string_view text) {
  for (size_t tail = std::min<size_t>(3, text.size()); tail > 0; --tail) {
    const Utf8Char last = NextChar(text, text.size() - tail);
    if (last.status == Utf8Status::kTruncated) return tail;
  }
  return 0;
}

CharClass ClassOf(char32_t code) {
  static const std::array<CharClass, 128> ascii = [] {
    std::array<CharClass, 128> classes;
    for (char32_t i = 0; i < 128; ++i) classes[i] = ClassOfCategory(i);
    return classes;
  }();
  return code < 128 ? ascii[code] : ClassOfCategory(code);
}

bool IsSpace(char32_t code) {
  const CharClass char_class = ClassOf(code);
  return char_class == CharClass::kSpace || char_class == CharClass::kNewline;
}

bool IsWordChar(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      break;
  }
  const bool joiner = code == 0x200C || code == 0x200D;
  // Other_Alphabetic among the symbols: circled, squared and negative Latin letters.
  const bool enclosed_letter =
      (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
      (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
  return joiner || enclosed_letter;
}

std::string_view TrimStart(std::string_view text) {
  while (!text.empty()) {
    const Utf8Char character = NextChar(text, 0);
    if (!IsSpace(character.code)) break;
    text.remove_prefix(character.length);
  }
  return text;
}

std::string_view TrimEnd(std::string_view text) {
  size_t end = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char character = NextChar(text, pos);
    pos += character.length;
    if (!IsSpace(character.code)) end = pos;
  }
  return text.substr(0, end);
}

std::string Capitalize(std::string_view text) {
  std::string result;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char character = NextChar(text, pos);
    const auto code = static_cast<utf8proc_int32_t>(character.code);
    std::array<utf8proc_uint8_t, 4> bytes;
    const utf8proc_ssize_t size = utf8proc_encode_char(
        pos == 0 ? utf8proc_totitle(code) : utf8proc_tolower(code), bytes.data());
    result.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(size));
    pos += character.length;
  }
  return result;
}

}  // namespace atom::tokenizer
