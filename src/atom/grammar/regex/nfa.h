// A regular expression as an NFA (Thompson's construction), the step between its syntax tree and
// the DFA of regex.h.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/core/result.h"
#include "atom/grammar/char_set.h"
#include "atom/grammar/regex/regex_syntax.h"

namespace atom::grammar {

struct Nfa {
  struct Node {
    CharSet chars;  ///< taken on the way to `next`; empty: there is no such way
    uint32_t next = 0;
    std::vector<uint32_t> always;     ///< entered along with this one
    std::vector<uint32_t> at_start;   ///< likewise, where the text starts
    std::vector<uint32_t> at_finish;  ///< likewise, where it ends
  };

  std::vector<Node> nodes;
  uint32_t start = 0;
  uint32_t match = 0;  ///< the pattern has been found; any characters may follow
};

/// An Error, the end of a sentence, if the NFA would be too large.
Result<Nfa> BuildNfa(const RegexTree& tree);

}  // namespace atom::grammar
