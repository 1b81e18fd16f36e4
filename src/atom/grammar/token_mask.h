// Which tokens may come next: the tokens all of whose bytes a matcher would accept, and those that
// end the text exactly where it may end.
//
//   GrammarMatcher ─┐
//   TokenTrie ──────┴ TokenMask::Fill ─> one bit a token ─> sampling
//
// The tree of tokens is walked with the grammar's states, one table look-up a byte: states and
// their transitions are made when first met and kept, and so are whole masks. Memory is bounded by
// a limit, past which everything kept is dropped and made again, and what one walk adds to it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "atom/grammar/grammar_matcher.h"
#include "atom/grammar/token_trie.h"

namespace atom::grammar {

/// 32-bit words of a mask.
inline size_t MaskWords(int64_t vocab_size) { return (static_cast<size_t>(vocab_size) + 31) / 32; }

/// Bit id % 32 of word id / 32.
inline bool MaskAllows(std::span<const uint32_t> mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

class TokenMask {
 public:
  static constexpr size_t kDefaultMaxBytes = size_t{16} << 20;

  /// REQUIRES: `grammar` and `trie` outlive this. One thread at a time.
  TokenMask(const Grammar& grammar, const TokenTrie& trie, size_t max_bytes = kDefaultMaxBytes);

  /// Writes the mask after what `matcher` has accepted. False if it is empty, which takes a
  /// vocabulary that cannot spell what must come: one with all single bytes can spell anything.
  /// REQUIRES: a matcher of this grammar; mask.size() == MaskWords(trie.vocab_size()).
  bool Fill(const GrammarMatcher& matcher, std::span<uint32_t> mask);

  /// Bytes of states and masks kept, about.
  size_t bytes_kept() const { return bytes_kept_; }

 private:
  static constexpr uint32_t kUnknown = 0xFFFFFFFF;
  static constexpr uint32_t kDead = 0xFFFFFFFE;

  struct State {
    const ItemSet* items;            // a key of ids_
    std::array<uint32_t, 256> next;  // states, kDead or kUnknown
    std::vector<uint32_t> mask;      // empty until asked for
  };

  uint32_t Intern(ItemSet items);
  uint32_t Step(uint32_t state, uint8_t byte);
  void StepLikeBytes(uint32_t state, uint8_t byte);
  void Walk(uint32_t state, std::vector<uint32_t>& mask);
  void Forget();

  const Grammar& grammar_;
  const TokenTrie& trie_;
  size_t max_bytes_;
  size_t bytes_kept_ = 0;
  StackGraph stacks_;
  std::map<ItemSet, uint32_t> ids_;
  std::vector<State> states_;
  std::vector<uint32_t> path_;  // states of the walk, by depth
};

}  // namespace atom::grammar
