#include "atom/grammar/grammar.h"

#include <algorithm>
#include <utility>

#include "atom/core/check.h"
#include "atom/grammar/productive.h"

namespace atom::grammar {
namespace {

constexpr size_t kEdgesPerState = 8;  // on average; JSON's automata need about two

enum class Visit : uint8_t { kNotYet, kOpen, kDone };

// A rule on the path of a depth-first walk, and which of its left calls comes next.
struct OpenRule {
  uint32_t rule;
  std::vector<uint32_t> calls;
  size_t next = 0;
};

}  // namespace

void Grammar::KeepTo(const std::vector<bool>& spellable) {
  for (size_t i = 0; i < states_.size(); ++i) {
    states_[i].spellable = spellable[i];
    std::erase_if(states_[i].calls, [&](const CallEdge& edge) {
      return !spellable[edge.to] || !spellable[rules_[edge.rule].start];
    });
  }
}

GrammarBuilder::GrammarBuilder(size_t max_states) : max_states_(max_states) {
  grammar_.states_.emplace_back();  // Grammar::kEnd
}

uint32_t GrammarBuilder::AddState() {
  if (grammar_.states_.size() >= max_states_) {
    full_ = true;
    return Grammar::kEnd;
  }
  grammar_.states_.emplace_back();
  return static_cast<uint32_t>(grammar_.states_.size() - 1);
}

uint32_t GrammarBuilder::AddRule(std::string name) {
  grammar_.rules_.push_back({AddState(), 0, std::move(name)});
  return static_cast<uint32_t>(grammar_.rules_.size() - 1);
}

bool GrammarBuilder::MayAddEdge() {
  if (edges_ >= kEdgesPerState * max_states_) full_ = true;
  if (full_) return false;
  ++edges_;
  return true;
}

void GrammarBuilder::AddBytes(uint32_t from, uint8_t low, uint8_t high, uint32_t to) {
  if (MayAddEdge()) grammar_.states_[from].bytes.push_back({low, high, to});
}

void GrammarBuilder::AddByte(uint32_t from, char byte, uint32_t to) {
  AddBytes(from, static_cast<uint8_t>(byte), static_cast<uint8_t>(byte), to);
}

void GrammarBuilder::AddCall(uint32_t from, uint32_t rule, uint32_t to) {
  if (MayAddEdge()) grammar_.states_[from].calls.push_back({rule, to});
}

void GrammarBuilder::AddEpsilon(uint32_t from, uint32_t to) {
  if (MayAddEdge()) grammar_.states_[from].epsilons.push_back(to);
}

Result<Grammar> GrammarBuilder::Finish(uint32_t root) && {
  ATOM_CHECK(!full_, "{} states", grammar_.states_.size());
  grammar_.root_ = root;
  const std::vector<bool> productive = FindProductive(grammar_, ByteSet().set());
  if (!productive[StartOf(root)]) {
    return MakeError("{}: no finite JSON value satisfies it", grammar_.rule(root).name);
  }
  CutUnproductive(productive);
  const Status ranked = RankRules();
  if (!ranked.ok()) return ranked.error();
  return std::move(grammar_);
}

void GrammarBuilder::CutUnproductive(const std::vector<bool>& productive) {
  for (GrammarState& state : grammar_.states_) {
    std::erase_if(state.bytes, [&](const ByteEdge& edge) { return !productive[edge.to]; });
    std::erase_if(state.epsilons, [&](uint32_t to) { return !productive[to]; });
    std::erase_if(state.calls, [&](const CallEdge& edge) {
      return !productive[edge.to] || !productive[StartOf(edge.rule)];
    });
  }
}

// The rules that `rule` may call before its first byte.
std::vector<uint32_t> GrammarBuilder::LeftCalls(uint32_t rule) const {
  std::vector<uint32_t> seen = {StartOf(rule)};
  std::vector<bool> known(grammar_.states_.size(), false);
  known[seen.front()] = true;
  std::vector<uint32_t> calls;
  for (size_t i = 0; i < seen.size(); ++i) {
    const GrammarState& state = grammar_.states_[seen[i]];
    ATOM_CHECK(!state.final, "the rule of {} matches nothing", grammar_.rule(rule).name);
    for (const CallEdge& edge : state.calls) calls.push_back(edge.rule);
    for (const uint32_t to : state.epsilons) {
      if (!known[to]) seen.push_back(to);
      known[to] = true;
    }
  }
  return calls;
}

// Depth first along left calls, each rule ranked before those it calls. The walk keeps its own
// stack: chains of references may be long.
Status GrammarBuilder::RankRules() {
  std::vector<GrammarRule>& rules = grammar_.rules_;
  std::vector<Visit> visits(rules.size(), Visit::kNotYet);
  auto rank = static_cast<uint32_t>(rules.size());
  for (uint32_t first = 0; first < rules.size(); ++first) {
    if (visits[first] != Visit::kNotYet) continue;
    std::vector<OpenRule> path;
    path.push_back({first, LeftCalls(first)});
    visits[first] = Visit::kOpen;
    while (!path.empty()) {
      OpenRule& top = path.back();
      if (top.next == top.calls.size()) {
        visits[top.rule] = Visit::kDone;
        rules[top.rule].rank = --rank;
        path.pop_back();
        continue;
      }
      const uint32_t callee = top.calls[top.next++];
      if (visits[callee] == Visit::kOpen) {
        return MakeError("{}: its $ref leads back to it before any value begins",
                         rules[callee].name);
      }
      if (visits[callee] == Visit::kDone) continue;
      visits[callee] = Visit::kOpen;
      path.push_back({callee, LeftCalls(callee)});
    }
  }
  return {};
}

}  // namespace atom::grammar
