#include "atom/grammar/token_mask.h"

#include <algorithm>
#include <utility>

#include "atom/core/check.h"

namespace atom::grammar {
namespace {

/// Some 50 microseconds.
constexpr size_t kStepsToRest = 1500;
constexpr size_t kStatesToRest = 128;

void Allow(std::vector<uint32_t>& mask, int32_t id) {
  mask[static_cast<size_t>(id) / 32] |= uint32_t{1} << (id % 32);
}

}  // namespace

TokenMask::TokenMask(const Grammar& grammar, const TokenTrie& trie, const TokenMaskLimits& limits)
    : grammar_(grammar), trie_(trie), limits_(limits), path_(trie.max_depth() + 1) {}

uint32_t TokenMask::StateOf(const GrammarMatcher& matcher) {
  return Intern(TransferItems(matcher.stacks(), matcher.items(), stacks_));
}

MaskFill TokenMask::Copy(const std::vector<uint32_t>& kept, std::span<uint32_t> mask) {
  std::copy(kept.begin(), kept.end(), mask.begin());
  const bool any = std::any_of(kept.begin(), kept.end(), [](uint32_t word) { return word != 0; });
  return any ? MaskFill::kFilled : MaskFill::kEmpty;
}

std::optional<MaskFill> TokenMask::FillKept(const GrammarMatcher& matcher,
                                            std::span<uint32_t> mask) {
  if (bytes_kept_ > limits_.kept_bytes) return std::nullopt;
  const std::vector<uint32_t>& kept = states_[StateOf(matcher)].mask;
  if (kept.empty()) return std::nullopt;
  return Copy(kept, mask);
}

MaskFill TokenMask::Fill(const GrammarMatcher& matcher, std::span<uint32_t> mask,
                         const std::function<void()>& rest) {
  ATOM_CHECK(&matcher.grammar() == &grammar_, "the matcher of another grammar");
  ATOM_CHECK(mask.size() == MaskWords(trie_.vocab_size()), "{} words for {} tokens", mask.size(),
             trie_.vocab_size());
  if (bytes_kept_ > limits_.kept_bytes) Forget(rest);
  const uint32_t state = StateOf(matcher);
  if (states_[state].mask.empty()) {
    std::vector<uint32_t> made(mask.size(), 0);
    if (!Walk(state, made, rest)) {
      Forget(rest);
      return MaskFill::kTooMuch;
    }
    bytes_kept_ += made.size() * sizeof(uint32_t);
    states_[state].mask = std::move(made);
  }
  return Copy(states_[state].mask, mask);
}

// False, with half a mask, if that would take too much.
bool TokenMask::Walk(uint32_t state, std::vector<uint32_t>& mask,
                     const std::function<void()>& rest) {
  walk_steps_ = 0;
  size_t rest_at = kStepsToRest;
  most_bytes_ = bytes_kept_ + limits_.walk_bytes;
  const std::span<const TokenTrie::Node> nodes = trie_.nodes();
  const std::span<const int32_t> ids = trie_.token_ids();
  path_[0] = state;
  for (size_t i = 0; i + 1 < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const uint32_t next = Step(path_[node.depth], node.byte);
    if (!WithinLimits()) return false;
    if (walk_steps_ >= rest_at) {
      rest();
      rest_at = walk_steps_ + kStepsToRest;
    }
    if (next == kDead) {
      i = node.end;
      continue;
    }
    path_[node.depth + 1] = next;
    ++i;
    if (!states_[next].spellable) continue;
    for (uint32_t t = node.tokens_begin; t < nodes[i].tokens_begin; ++t) Allow(mask, ids[t]);
  }
  if (CanEnd(*states_[state].items)) {
    for (const int32_t id : trie_.end_ids()) Allow(mask, id);
  }
  return true;
}

uint32_t TokenMask::Step(uint32_t state, uint8_t byte) {
  if (states_[state].next[byte] == kUnknown) StepLikeBytes(state, byte);
  return states_[state].next[byte];
}

// The step for `byte` and all bytes around it that take the same edges.
void TokenMask::StepLikeBytes(uint32_t state, uint8_t byte) {
  int low = 0;
  int high = 255;
  for (const Item& item : *states_[state].items) {
    for (const ByteEdge& edge : grammar_.state(item.state).bytes) {
      if (edge.high < byte) {
        low = std::max(low, edge.high + 1);
      } else if (edge.low > byte) {
        high = std::min(high, edge.low - 1);
      } else {
        low = std::max<int>(low, edge.low);
        high = std::min<int>(high, edge.high);
      }
    }
  }
  ItemSet items = StepItems(grammar_, stacks_, *states_[state].items, byte);
  walk_steps_ += states_[state].items->size() + items.size();
  const uint32_t next = items.empty() ? kDead : Intern(std::move(items));
  std::fill(states_[state].next.begin() + low, states_[state].next.begin() + high + 1, next);
}

uint32_t TokenMask::Intern(ItemSet items) {
  const size_t item_count = items.size();
  const auto [place, added] =
      ids_.try_emplace(std::move(items), static_cast<uint32_t>(states_.size()));
  if (added) {
    State& state = states_.emplace_back();
    state.items = &place->first;
    state.next.fill(kUnknown);
    state.spellable = std::any_of(place->first.begin(), place->first.end(), [&](const Item& item) {
      return grammar_.state(item.state).spellable;
    });
    // A stack is made with about every state, and is about as large.
    bytes_kept_ += sizeof(State) + 4 * item_count * sizeof(Item);
  }
  return place->second;
}

void TokenMask::Forget(const std::function<void()>& rest) {
  while (!states_.empty()) {
    states_.pop_back();
    if (states_.size() % kStatesToRest == 0) rest();
  }
  while (!ids_.empty()) {
    ids_.erase(ids_.begin());
    if (ids_.size() % kStatesToRest == 0) rest();
  }
  stacks_ = StackGraph();
  bytes_kept_ = 0;
}

}  // namespace atom::grammar
