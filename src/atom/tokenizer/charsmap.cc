#include "atom/tokenizer/charsmap.h"

#include <cstddef>
#include <cstdint>

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

}  // namespace atom::tokenizer
