// Sets of Unicode characters as sorted ranges: the alphabet of regular expressions (pattern.h) and
// of JSON strings (json_spelling.h). Surrogates are no characters and never in a set.
#pragma once

#include <vector>

namespace atom::grammar {

struct CharRange {
  char32_t low;
  char32_t high;  ///< inclusive

  bool operator==(const CharRange&) const = default;
};

/// Sorted, disjoint, not touching, without surrogates: what NormalizeChars gives.
using CharSet = std::vector<CharRange>;

/// The set that the ranges, in any order, cover.
CharSet NormalizeChars(std::vector<CharRange> ranges);

/// Every character that is not in `chars`, a normalized set.
CharSet InvertChars(const CharSet& chars);

/// Every character.
CharSet AllChars();

}  // namespace atom::grammar
