#include "atom/tokenizer/charsmap.h"

#include <cstddef>
#include <cstdint>
#include <utf8proc.h>

#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

uint32_t Load32(std::string_view bytes, size_t pos) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= uint32_t{static_cast<uint8_t>(bytes[pos + i])} << (8 * i);
  }
  return value;
}

bool IsValue(uint32_t unit) { return (unit >> 31) != 0; }
bool HasValue(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }

}  // namespace

// A lookup stands at node i, goes to i ^ offset (where i's value would be) and on to that ^ label,
// for any byte as label.
bool IsSafeCharsmap(std::string_view charsmap) {
  if (charsmap.empty()) return true;
  if (charsmap.size() < 4) return false;
  const size_t trie_bytes = Load32(charsmap, 0);
  if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes >= charsmap.size() - 4) return false;
  const std::string_view trie = charsmap.substr(4, trie_bytes);
  const std::string_view replacements = charsmap.substr(4 + trie_bytes);
  if (replacements.back() != '\0') return false;
  const size_t units = trie_bytes / 4;
  for (size_t i = 0; i < units; ++i) {
    const uint32_t unit = Load32(trie, 4 * i);
    if (IsValue(unit)) continue;
    const size_t base = i ^ Offset(unit);
    if ((base | 0xFF) >= units) return false;
    if (!HasValue(unit)) continue;
    const uint32_t value = Load32(trie, 4 * base) & 0x7FFFFFFF;
    if (value >= replacements.size()) return false;
  }
  return true;
}

std::optional<std::string_view> Charsmap::Find(std::string_view text) const {
  if (bytes_.empty()) return std::nullopt;
  const std::string_view all = bytes_;
  const size_t trie_bytes = Load32(all, 0);
  const std::string_view trie = all.substr(4, trie_bytes);
  size_t node = Offset(Load32(trie, 0));
  for (const char c : text) {
    if (c == '\0') break;
    node ^= static_cast<uint8_t>(c);
    const uint32_t unit = Load32(trie, 4 * node);
    if (IsValue(unit) || (unit & 0xFF) != static_cast<uint8_t>(c)) break;
    node ^= Offset(unit);
    if (!HasValue(unit)) continue;
    const std::string_view rest =
        all.substr(4 + trie_bytes).substr(Load32(trie, 4 * node) & 0x7FFFFFFF);
    return rest.substr(0, rest.find('\0'));
  }
  return std::nullopt;
}

void Charsmap::AppendGrapheme(std::string_view grapheme, std::string& normalized) const {
  constexpr size_t kWholeBelow = 6;
  if (grapheme.size() < kWholeBelow) {
    if (const auto replacement = Find(grapheme)) {
      normalized += *replacement;
      return;
    }
  }
  for (size_t pos = 0; pos < grapheme.size();) {
    const Utf8Char character = NextChar(grapheme, pos);
    const std::string_view bytes = grapheme.substr(pos, character.length);
    const bool valid = character.status == Utf8Status::kValid;
    const auto replacement = valid ? Find(bytes) : std::nullopt;
    normalized += replacement.value_or(bytes);
    pos += character.length;
  }
}

std::string Charsmap::Apply(std::string_view text) const {
  std::string normalized;
  normalized.reserve(text.size());
  utf8proc_int32_t state = 0;
  size_t begin = 0;  // of the grapheme in progress
  std::optional<char32_t> last;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char character = NextChar(text, pos);
    const bool valid = character.status == Utf8Status::kValid;
    const bool joins =
        valid && last &&
        !utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(*last),
                                          static_cast<utf8proc_int32_t>(character.code), &state);
    if (!joins) {
      AppendGrapheme(text.substr(begin, pos - begin), normalized);
      begin = pos;
    }
    if (!valid) state = 0;
    last = valid ? std::optional(character.code) : std::nullopt;
    pos += character.length;
  }
  AppendGrapheme(text.substr(begin), normalized);
  return normalized;
}

}  // namespace atom::tokenizer
