#include "atom/grammar/grammar_matcher.h"

#include <algorithm>
#include <set>
#include <utility>

namespace atom::grammar {
namespace {

constexpr size_t kFewStacks = 64;  // not worth a clean-up

// Follows everything that takes no byte: epsilons, the ends of rules, and then calls.
class Closure {
 public:
  Closure(const Grammar& grammar, StackGraph& stacks) : grammar_(grammar), stacks_(stacks) {}

  void Add(Item item) { items_.push_back(item); }

  ItemSet Finish() && {
    Follow(0);
    // Calls by rank: when a rule's turn comes, all its callers at this byte are known.
    while (!calls_.empty()) {
      auto [rank, call] = *calls_.begin();
      calls_.erase(calls_.begin());
      Normalize(call.callers);
      const size_t first = items_.size();
      items_.push_back({grammar_.rule(call.rule).start, stacks_.Intern(call.callers)});
      Follow(first);
    }
    Normalize(items_);
    return std::move(items_);
  }

 private:
  struct Call {
    uint32_t rule = 0;
    ItemSet callers;
  };

  static void Normalize(ItemSet& items) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
  }

  // Items from `first` on, and what they lead to. A new item is one that is not in `known_`.
  void Follow(size_t first) {
    std::vector<Item> pending(items_.begin() + static_cast<ptrdiff_t>(first), items_.end());
    items_.resize(first);
    while (!pending.empty()) {
      const Item item = pending.back();
      pending.pop_back();
      if (!known_.insert(item).second) continue;
      items_.push_back(item);
      const GrammarState& state = grammar_.state(item.state);
      for (const uint32_t to : state.epsilons) pending.push_back({to, item.stack});
      if (state.final) {
        const ItemSet& returns = stacks_.entries(item.stack);
        pending.insert(pending.end(), returns.begin(), returns.end());
      }
      for (const CallEdge& edge : state.calls) {
        Call& call = calls_[grammar_.rule(edge.rule).rank];
        call.rule = edge.rule;
        call.callers.push_back({edge.to, item.stack});
      }
    }
  }

  const Grammar& grammar_;
  StackGraph& stacks_;
  ItemSet items_;
  std::set<Item> known_;
  std::map<uint32_t, Call> calls_;  // by rank
};

}  // namespace

StackGraph::StackGraph() { Intern({{Grammar::kEnd, kBottom}}); }

uint32_t StackGraph::Intern(const ItemSet& entries) {
  const auto [place, added] = ids_.emplace(entries, static_cast<uint32_t>(stacks_.size()));
  if (added) stacks_.push_back(&place->first);
  return place->second;
}

ItemSet StartItems(const Grammar& grammar, StackGraph& stacks) {
  Closure closure(grammar, stacks);
  closure.Add({grammar.rule(grammar.root()).start, StackGraph::kBottom});
  return std::move(closure).Finish();
}

ItemSet StepItems(const Grammar& grammar, StackGraph& stacks, const ItemSet& items, uint8_t byte) {
  Closure closure(grammar, stacks);
  for (const Item& item : items) {
    for (const ByteEdge& edge : grammar.state(item.state).bytes) {
      if (edge.low <= byte && byte <= edge.high) closure.Add({edge.to, item.stack});
    }
  }
  return std::move(closure).Finish();
}

ItemSet TransferItems(const StackGraph& from, const ItemSet& items, StackGraph& to) {
  // Which stacks are alive: entries name earlier stacks only.
  std::vector<bool> alive(from.size(), false);
  for (const Item& item : items) alive[item.stack] = true;
  for (size_t i = from.size(); i-- > 0;) {
    if (!alive[i]) continue;
    for (const Item& entry : from.entries(static_cast<uint32_t>(i))) alive[entry.stack] = true;
  }
  std::vector<uint32_t> moved(from.size(), StackGraph::kBottom);
  const auto translate = [&](ItemSet set) {
    for (Item& item : set) item.stack = moved[item.stack];
    std::sort(set.begin(), set.end());
    return set;
  };
  for (uint32_t i = 1; i < from.size(); ++i) {
    if (alive[i]) moved[i] = to.Intern(translate(from.entries(i)));
  }
  return translate(items);
}

bool CanEnd(const ItemSet& items) { return !items.empty() && items.front().state == Grammar::kEnd; }

GrammarMatcher::GrammarMatcher(const Grammar& grammar)
    : grammar_(&grammar), items_(StartItems(grammar, stacks_)), forget_at_(kFewStacks) {}

GrammarMatcher::GrammarMatcher(const GrammarMatcher& other)
    : grammar_(other.grammar_),
      items_(TransferItems(other.stacks_, other.items_, stacks_)),
      forget_at_(other.forget_at_) {}

GrammarMatcher& GrammarMatcher::operator=(const GrammarMatcher& other) {
  return *this = GrammarMatcher(other);
}

bool GrammarMatcher::Accept(uint8_t byte) {
  ItemSet next = StepItems(*grammar_, stacks_, items_, byte);
  if (next.empty()) return false;
  items_ = std::move(next);
  if (stacks_.size() >= forget_at_) ForgetStacks();
  return true;
}

bool GrammarMatcher::AcceptAll(std::string_view bytes) {
  ItemSet next = items_;
  for (const char byte : bytes) {
    next = StepItems(*grammar_, stacks_, next, static_cast<uint8_t>(byte));
    if (next.empty()) return false;
  }
  items_ = std::move(next);
  if (stacks_.size() >= forget_at_) ForgetStacks();
  return true;
}

// Leaves the stacks that are in use; the next time is when as many again have come.
void GrammarMatcher::ForgetStacks() {
  StackGraph alive;
  items_ = TransferItems(stacks_, items_, alive);
  stacks_ = std::move(alive);
  forget_at_ = std::max(kFewStacks, 2 * stacks_.size());
}

}  // namespace atom::grammar
