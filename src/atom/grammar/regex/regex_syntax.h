// Regular expressions of JSON schemas (ECMA-262, by code points) as syntax trees. pattern.h makes
// automata of them.
//
// Known: literals, . [classes] \d \D \w \W \s \S \t \n \v \f \r \0 \xHH \uHHHH \u{H…}, groups ( ),
// (?: ) and (?<name> ), |, ^ and $, * + ? {n} {n,} {n,m}, each also lazy, which is the same set of
// texts. Everything else is refused by name: look-around (but see look_ahead.h), back references,
// word boundaries, \p.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/grammar/char_set.h"

namespace atom::grammar {

struct RegexNode {
  enum class Kind : uint8_t {
    kChars,         ///< one character of `chars`
    kStart,         ///< ^
    kFinish,        ///< $
    kSequence,      ///< the children one after the other, maybe none
    kAlternatives,  ///< one of the children
    kRepeat,        ///< the only child, `least` to `most` times
  };

  Kind kind;
  CharSet chars = {};
  std::vector<uint32_t> children = {};  ///< indices into RegexTree::nodes
  uint32_t least = 0;
  std::optional<uint32_t> most = {};  ///< none: without end
};

struct RegexTree {
  std::vector<RegexNode> nodes;
  uint32_t root = 0;
};

/// `pattern` is UTF-8. The sentence of an Error starts with what is wrong, without a source.
Result<RegexTree> ParseRegex(std::string_view pattern);

}  // namespace atom::grammar
