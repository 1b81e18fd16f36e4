#include "atom/grammar/spellable.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "atom/grammar/productive.h"
#include "atom/io/quote.h"

namespace atom::grammar {
namespace {

constexpr size_t kStepsToRest = 3'000;

/// Those that are tokens.
ByteSet SingleBytes(const TokenTrie& trie) {
  ByteSet bytes;
  const std::span<const TokenTrie::Node> nodes = trie.nodes();
  for (size_t i = 0; i + 1 < nodes.size(); i = nodes[i].end) {
    if (nodes[i + 1].tokens_begin > nodes[i].tokens_begin) bytes.set(nodes[i].byte);
  }
  return bytes;
}

/// Which states tokens lead to by byte edges alone, from states that cannot go on by single bytes.
class TokenJumps {
 public:
  TokenJumps(const Grammar& grammar, const TokenTrie& trie, KeepBudget budget)
      : grammar_(grammar),
        nodes_(trie.nodes()),
        budget_(std::move(budget)),
        path_(trie.max_depth()) {}

  /// Nothing if that takes too much.
  std::optional<std::vector<Jump>> Find(const std::vector<bool>& productive) {
    for (uint32_t s = 0; s < grammar_.state_count(); ++s) {
      if (!productive[s] && !grammar_.state(s).bytes.empty() && !AddFrom(s)) return std::nullopt;
    }
    return std::move(jumps_);
  }

 private:
  bool AddFrom(uint32_t from) {
    const auto begin = static_cast<ptrdiff_t>(jumps_.size());
    for (size_t i = 0; i + 1 < nodes_.size();) {
      const TokenTrie::Node& node = nodes_[i];
      std::vector<uint32_t>& after = path_[node.depth];
      after.clear();
      if (node.depth == 0) {
        Step(from, node.byte, after);
      } else {
        for (const uint32_t s : path_[node.depth - 1]) Step(s, node.byte, after);
      }
      if (budget_.steps == 0) return false;
      if (after.empty()) {
        i = node.end;
        continue;
      }
      std::sort(after.begin(), after.end());
      after.erase(std::unique(after.begin(), after.end()), after.end());
      ++i;
      if (nodes_[i].tokens_begin == node.tokens_begin) continue;
      for (const uint32_t to : after) jumps_.push_back({from, to});
    }
    std::sort(jumps_.begin() + begin, jumps_.end());
    jumps_.erase(std::unique(jumps_.begin() + begin, jumps_.end()), jumps_.end());
    return true;
  }

  void Step(uint32_t s, uint8_t byte, std::vector<uint32_t>& after) {
    const std::vector<ByteEdge>& edges = grammar_.state(s).bytes;
    const size_t before = budget_.steps;
    budget_.steps -= std::min(before, edges.size() + 1);
    if (before / kStepsToRest != budget_.steps / kStepsToRest) budget_.rest();
    for (const ByteEdge& edge : edges) {
      if (edge.low <= byte && byte <= edge.high) after.push_back(edge.to);
    }
  }

  const Grammar& grammar_;
  const std::span<const TokenTrie::Node> nodes_;
  KeepBudget budget_;
  std::vector<std::vector<uint32_t>> path_;  // states after the byte at a depth
  std::vector<Jump> jumps_;
};

bool IsContinuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/// How many bytes a character has that begins with `lead`.
size_t Utf8Length(uint8_t lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

/// Searches, from where the whole text begins through what cannot be written, for the first byte
/// behind which all that is left can be.
class MissingCharacter {
 public:
  MissingCharacter(const Grammar& grammar, const std::vector<bool>& spellable)
      : grammar_(grammar), spellable_(spellable), seen_(grammar.state_count(), false) {}

  Error Name() {
    Add({grammar_.rule(grammar_.root()).start, grammar_.root(), ""});
    for (size_t i = 0; i < queue_.size(); ++i) {
      const Place place = queue_[i];
      const GrammarState& state = grammar_.state(place.state);
      for (const ByteEdge& edge : state.bytes) {
        const std::string begun = IsContinuation(edge.low) ? place.character : "";
        const std::string character = begun + static_cast<char>(edge.low);
        if (spellable_[edge.to]) return Refuse(place.rule, Complete(character, edge.to));
        Add({edge.to, place.rule, character});
      }
      for (const uint32_t to : state.epsilons) Add({to, place.rule, place.character});
      for (const CallEdge& edge : state.calls) {
        const uint32_t start = grammar_.rule(edge.rule).start;
        if (spellable_[start]) {
          Add({edge.to, place.rule, ""});
        } else {
          Add({start, edge.rule, ""});
        }
      }
    }
    return MakeError("{}: the model has no tokens that write it",
                     grammar_.rule(grammar_.root()).name);
  }

 private:
  struct Place {
    uint32_t state;
    uint32_t rule;
    std::string character;  // what of it was read on the way here
  };

  void Add(Place place) {
    if (seen_[place.state]) return;
    seen_[place.state] = true;
    queue_.push_back(std::move(place));
  }

  std::string Complete(std::string character, uint32_t state) const {
    const size_t length = Utf8Length(static_cast<uint8_t>(character.front()));
    while (character.size() < length && !grammar_.state(state).bytes.empty()) {
      const ByteEdge& edge = grammar_.state(state).bytes.front();
      character += static_cast<char>(edge.low);
      state = edge.to;
    }
    return character;
  }

  Error Refuse(uint32_t rule, const std::string& character) const {
    std::vector<uint8_t> bytes(character.begin(), character.end());
    return MakeError("{}: needs {} (UTF-8 {:02X}), which the model has no tokens for",
                     grammar_.rule(rule).name, io::Quote(character), fmt::join(bytes, " "));
  }

  const Grammar& grammar_;
  const std::vector<bool>& spellable_;
  std::vector<bool> seen_;
  std::vector<Place> queue_;
};

}  // namespace

Result<Grammar> KeepToTokens(Grammar grammar, const TokenTrie& trie, KeepBudget budget) {
  const ByteSet bytes = SingleBytes(trie);
  if (bytes.all()) return grammar;
  std::vector<bool> spellable = FindProductive(grammar, bytes);
  if (std::find(spellable.begin(), spellable.end(), false) != spellable.end()) {
    const auto jumps = TokenJumps(grammar, trie, std::move(budget)).Find(spellable);
    if (!jumps) {
      return MakeError("{}: what of it the model's tokens can write takes too much to work out",
                       grammar.rule(grammar.root()).name);
    }
    spellable = FindProductive(grammar, bytes, *jumps);
  }
  if (!spellable[grammar.rule(grammar.root()).start]) {
    return MissingCharacter(grammar, spellable).Name();
  }
  grammar.KeepTo(spellable);
  return grammar;
}

}  // namespace atom::grammar
