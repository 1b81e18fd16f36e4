// Which states of a grammar can go on to the end of their rule: what is left when the others are
// cut (grammar.h), and when a vocabulary cannot write every byte (spellable.h).
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "atom/grammar/grammar.h"

namespace atom::grammar {

using ByteSet = std::bitset<256>;

/// An edge that takes more than one byte.
struct Jump {
  uint32_t from;
  uint32_t to;

  auto operator<=>(const Jump&) const = default;
};

/// By state: whether the end of its rule can be reached by byte edges that take one of `bytes`,
/// by `jumps` within the rule, and by what takes no byte. Linear in the edges.
std::vector<bool> FindProductive(const Grammar& grammar, const ByteSet& bytes,
                                 const std::vector<Jump>& jumps = {});

}  // namespace atom::grammar
