// The texts that regular expressions and length limits allow, as deterministic automata over
// characters. The schema compiler spells their edges as bytes.
//
//   ParseRegex ─ tree ─ BuildDfa ─ automaton ─ IntersectDfas, ComplementDfa, LimitLength
//
// Promises: a pattern may match anywhere in the text unless it says ^ or $, as JSON Schema has it;
// what would take more states or work than the limits is an Error, found before it is built.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "atom/core/result.h"
#include "atom/grammar/char_set.h"
#include "atom/grammar/regex/regex_syntax.h"

namespace atom::grammar {

struct DfaEdge {
  CharSet chars;  ///< disjoint from those of the state's other edges
  uint32_t to;
};

struct DfaState {
  std::vector<DfaEdge> edges;
  bool accepts = false;
};

struct Dfa {
  std::vector<DfaState> states;  ///< the first is where a text starts
};

/// States of one automaton, whether of a pattern or of what is made of it.
inline constexpr size_t kMaxDfaStates = 8192;

/// Steps that may still be taken for all patterns of one schema: some tens of milliseconds.
struct RegexBudget {
  size_t steps = 2'000'000;
  std::function<void()> rest = [] {};  ///< called about every 50 microseconds

  /// False if there are not as many any more.
  bool Spend(size_t count) {
    constexpr size_t kStepsToRest = 4096;
    const size_t before = steps;
    steps -= std::min(count, steps);
    if (before / kStepsToRest != steps / kStepsToRest) rest();
    return steps > 0;
  }
};

/// Errors, here and below, are the end of a sentence, without a source.
Result<Dfa> BuildDfa(const RegexTree& tree, RegexBudget& budget);

/// Texts that both allow.
Result<Dfa> IntersectDfas(const Dfa& a, const Dfa& b, RegexBudget& budget);

/// Texts that `pattern` does not allow.
Dfa ComplementDfa(const Dfa& pattern);

/// Texts that `pattern` allows and that have `least` to `most` characters.
Result<Dfa> LimitLength(const Dfa& pattern, size_t least, std::optional<size_t> most,
                        RegexBudget& budget);

}  // namespace atom::grammar
