#include "atom/grammar/json_schema/json_escape.h"

#include <algorithm>
#include <fmt/format.h>

namespace atom::grammar {
namespace {

constexpr char32_t kFirstPlain = 0x20;

bool NeedsEscape(char32_t code) { return code < kFirstPlain || code == '"' || code == '\\'; }

constexpr std::string_view kShortCodes = "\"\\\b\f\n\r\t";
constexpr std::string_view kShortLetters = "\"\\bfnrt";

// One of \u0000 to \u001f.
bool IsSpelledInHex(char32_t code) {
  return code < kFirstPlain && kShortCodes.find(static_cast<char>(code)) == std::string_view::npos;
}

char HexDigit(char32_t value) { return "0123456789abcdef"[value & 0xF]; }

std::string EscapeOf(char32_t code) {
  if (IsSpelledInHex(code)) return fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
  return std::string("\\") + kShortLetters[kShortCodes.find(static_cast<char>(code))];
}

// The last code up to `end` that differs from `code` in its last hex digit only, in a run of digits
// that follow each other as bytes too.
char32_t EndOfHexRun(char32_t code, char32_t end) {
  while (code < end && IsSpelledInHex(code + 1) && HexDigit(code + 1) == HexDigit(code) + 1) ++code;
  return code;
}

// The UTF-8 of `code` in bytes, the lead byte first.
std::string Utf8Of(char32_t code) {
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  const int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  std::string bytes(1, static_cast<char>((0xF00 >> (extra + 1) & 0xFF) | code >> (6 * extra)));
  for (int i = extra - 1; i >= 0; --i) {
    bytes += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
  }
  return bytes;
}

}  // namespace

std::string SpellJsonString(std::string_view text) {
  std::string spelled = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (NeedsEscape(code)) {
      spelled += EscapeOf(code);
    } else {
      spelled += c;
    }
  }
  return spelled + "\"";
}

void CharSpeller::AddChars(uint32_t from, const CharSet& chars, uint32_t to) {
  for (const CharRange& range : chars) {
    char32_t plain = range.low;  // the first that waits to be spelled as it is
    const char32_t escapes_end = std::min<char32_t>(range.high, '\\');
    for (char32_t code = range.low; code <= escapes_end; ++code) {
      if (!NeedsEscape(code)) continue;
      if (plain < code) AddUtf8(from, {plain, code - 1}, to);
      if (IsSpelledInHex(code)) {
        const char32_t last = EndOfHexRun(code, range.high);
        AddHex(from, {code, last}, to);
        code = last;
      } else {
        AddText(from, EscapeOf(code), to);
      }
      plain = code + 1;
    }
    if (plain <= range.high) AddUtf8(from, {plain, range.high}, to);
  }
}

void CharSpeller::AddText(uint32_t from, std::string_view bytes, uint32_t to) {
  for (size_t i = bytes.size() - 1; i > 0; --i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    to = Before(byte, byte, to);
  }
  builder_.AddByte(from, bytes.front(), to);
}

void CharSpeller::AddHex(uint32_t from, CharRange run, uint32_t to) {
  const uint32_t last =
      Before(static_cast<uint8_t>(HexDigit(run.low)), static_cast<uint8_t>(HexDigit(run.high)), to);
  AddText(from, std::string("\\u00") + HexDigit(run.low >> 4), last);
}

// Cuts the range until all its characters have one length and every byte runs through a range of
// its own, whatever the others are.
void CharSpeller::AddUtf8(uint32_t from, CharRange range, uint32_t to) {
  for (const char32_t last : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}}) {
    if (range.low <= last && last < range.high) {
      AddUtf8(from, {range.low, last}, to);
      return AddUtf8(from, {last + 1, range.high}, to);
    }
  }
  for (int bits = 6; range.low > 0x7F && bits <= 18; bits += 6) {
    const char32_t mask = (char32_t{1} << bits) - 1;
    if ((range.low & ~mask) == (range.high & ~mask)) break;
    if ((range.low & mask) != 0) {
      AddUtf8(from, {range.low, range.low | mask}, to);
      return AddUtf8(from, {(range.low | mask) + 1, range.high}, to);
    }
    if ((range.high & mask) != mask) {
      AddUtf8(from, {range.low, (range.high & ~mask) - 1}, to);
      return AddUtf8(from, {range.high & ~mask, range.high}, to);
    }
  }
  const std::string low = Utf8Of(range.low);
  const std::string high = Utf8Of(range.high);
  for (size_t i = low.size() - 1; i > 0; --i) {
    to = Before(static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i]), to);
  }
  builder_.AddBytes(from, static_cast<uint8_t>(low[0]), static_cast<uint8_t>(high[0]), to);
}

uint32_t CharSpeller::Before(uint8_t low, uint8_t high, uint32_t to) {
  if (before_.size() <= to) before_.resize(to + 1);
  for (const ByteEdge& edge : before_[to]) {
    if (edge.low == low && edge.high == high) return edge.to;
  }
  const uint32_t state = builder_.AddState();
  builder_.AddBytes(state, low, high, to);
  before_[to].push_back({low, high, state});
  return state;
}

}  // namespace atom::grammar
