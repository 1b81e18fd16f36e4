// What of a grammar the tokens of a vocabulary can write. Not every vocabulary has every byte as a
// token of its own: byte-level ones lack the bytes that their training text did not have, those of
// characters may have é but neither of its bytes.
//
//   Grammar ─ KeepToTokens(TokenTrie) ─> Grammar, whose states say where a token may end
//
//   "s" ─ C3 ─> (m) ─ A9 ─> s1 ─ '"' ─> …      tokens: `"`, `é`: a token may end in s and s1, not
//   in m
//
// Promise: after tokens that each end where one may end (TokenMask allows no others), some token or
// the end of the text may follow. It fails closed: a text that could only be written by tokens that
// reach over the begin or end of a rule is not kept.
#pragma once

#include <cstddef>
#include <functional>

#include "atom/core/result.h"
#include "atom/grammar/grammar.h"
#include "atom/grammar/token_trie.h"

namespace atom::grammar {

/// Of the search for tokens of several bytes.
struct KeepBudget {
  size_t steps = 20'000'000;           ///< about 15 ns each
  std::function<void()> rest = [] {};  ///< called about every 50 microseconds
};

/// Marks the states in which no token may end, and cuts the calls that could not be returned from.
/// An Error if no whole text can be written, naming a character that every text needs there.
Result<Grammar> KeepToTokens(Grammar grammar, const TokenTrie& trie, KeepBudget budget = {});

}  // namespace atom::grammar
