// Which tokens may come next: the tokens all of whose bytes a matcher would accept and which end
// where a token may (spellable.h), and those that end the text exactly where it may end.
//
//   GrammarMatcher ─┐
//   TokenTrie ──────┴ TokenMask::Fill ─> one bit a token ─> sampling
//
// The tree of tokens is walked with the grammar's states, one table look-up a byte: states and
// their transitions are made when first met and kept, and so are whole masks.
//
// Promises: memory is bounded by a limit, past which everything kept is dropped and made again, and
// what one walk may add to it; a walk takes no more steps than its budget. Grammars can be made in
// which nearly every token leads to a state of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
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

struct TokenMaskLimits {
  size_t kept_bytes = size_t{16} << 20;  ///< of states and masks, between two walks
  size_t walk_bytes = size_t{16} << 20;  ///< that one walk may add
  size_t walk_steps = 20'000'000;        ///< ways to read the text, times bytes; about 30 ns each
};

enum class MaskFill {
  kFilled,
  kEmpty,    ///< no token may come: the vocabulary cannot spell what must come
  kTooMuch,  ///< the walk would go beyond its limits; there is no mask
};

class TokenMask {
 public:
  /// REQUIRES: `grammar` and `trie` outlive this. One thread at a time.
  TokenMask(const Grammar& grammar, const TokenTrie& trie, const TokenMaskLimits& limits = {});

  /// Writes the mask after what `matcher` has accepted, which is never empty if the grammar keeps
  /// to this trie's tokens and all that was accepted was in masks. A long walk calls `rest` about
  /// every 50 microseconds. REQUIRES: a matcher of this grammar; mask.size() ==
  /// MaskWords(trie.vocab_size()).
  MaskFill Fill(
      const GrammarMatcher& matcher, std::span<uint32_t> mask,
      const std::function<void()>& rest = [] {});
  /// The same if the mask is kept, so that it takes no walk; else nothing.
  std::optional<MaskFill> FillKept(const GrammarMatcher& matcher, std::span<uint32_t> mask);

  /// Bytes of states and masks kept, about.
  size_t bytes_kept() const { return bytes_kept_; }
  /// Drops everything that is kept; with rests, as above.
  void Forget(const std::function<void()>& rest = [] {});

 private:
  static constexpr uint32_t kUnknown = 0xFFFFFFFF;
  static constexpr uint32_t kDead = 0xFFFFFFFE;

  struct State {
    const ItemSet* items;            // a key of ids_
    std::array<uint32_t, 256> next;  // states, kDead or kUnknown
    std::vector<uint32_t> mask;      // empty until asked for
    bool spellable;                  // a token may end here
  };

  uint32_t Intern(ItemSet items);
  uint32_t Step(uint32_t state, uint8_t byte);
  void StepLikeBytes(uint32_t state, uint8_t byte);
  uint32_t StateOf(const GrammarMatcher& matcher);
  static MaskFill Copy(const std::vector<uint32_t>& kept, std::span<uint32_t> mask);
  bool Walk(uint32_t state, std::vector<uint32_t>& mask, const std::function<void()>& rest);
  bool WithinLimits() const {
    return walk_steps_ <= limits_.walk_steps && bytes_kept_ <= most_bytes_;
  }

  const Grammar& grammar_;
  const TokenTrie& trie_;
  TokenMaskLimits limits_;
  size_t bytes_kept_ = 0;
  size_t most_bytes_ = 0;  // of the walk under way
  size_t walk_steps_ = 0;  // likewise
  StackGraph stacks_;
  std::map<ItemSet, uint32_t> ids_;
  std::deque<State> states_;    // grows without moving megabytes at once
  std::vector<uint32_t> path_;  // states of the walk, by depth
};

}  // namespace atom::grammar
