#include "atom/grammar/char_set.h"

#include <algorithm>

namespace atom::grammar {
namespace {

constexpr char32_t kLastChar = 0x10FFFF;
constexpr CharRange kSurrogates = {0xD800, 0xDFFF};

// Cuts the surrogates out of one range.
void AppendScalars(CharRange range, std::vector<CharRange>& out) {
  const CharRange below = {range.low, std::min<char32_t>(range.high, kSurrogates.low - 1)};
  const CharRange above = {std::max<char32_t>(range.low, kSurrogates.high + 1), range.high};
  if (below.low <= below.high) out.push_back(below);
  if (above.low <= above.high) out.push_back(above);
}

}  // namespace

CharSet NormalizeChars(std::vector<CharRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const CharRange& a, const CharRange& b) { return a.low < b.low; });
  std::vector<CharRange> joined;
  for (const CharRange& range : ranges) {
    if (!joined.empty() && range.low <= joined.back().high + 1) {
      joined.back().high = std::max(joined.back().high, range.high);
    } else {
      joined.push_back(range);
    }
  }
  CharSet chars;
  for (const CharRange& range : joined) AppendScalars(range, chars);
  return chars;
}

CharSet InvertChars(const CharSet& chars) {
  std::vector<CharRange> rest;
  char32_t next = 0;
  for (const CharRange& range : chars) {
    if (next < range.low) rest.push_back({next, range.low - 1});
    next = range.high + 1;
  }
  if (next <= kLastChar) rest.push_back({next, kLastChar});
  return NormalizeChars(std::move(rest));
}

CharSet AllChars() { return InvertChars({}); }

}  // namespace atom::grammar
