#include "atom/grammar/regex/regex.h"

#include <algorithm>
#include <map>
#include <utility>

#include "atom/grammar/regex/nfa.h"

namespace atom::grammar {
namespace {

using NodeSet = std::vector<uint32_t>;  // sorted

constexpr size_t kNodeCost = 10;  // steps that making a node of the nfa is worth

Error TooLarge() { return MakeError("needs more than {} states", kMaxDfaStates); }

Error TooMuchWork() { return MakeError("takes too much work"); }

// Characters that no edge of the nfa tells apart, as ranges in order.
std::vector<CharRange> FindAtoms(const Nfa& nfa) {
  std::vector<char32_t> starts;
  for (const Nfa::Node& node : nfa.nodes) {
    for (const CharRange& range : node.chars) {
      starts.push_back(range.low);
      starts.push_back(range.high + 1);
    }
  }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  std::vector<CharRange> atoms;
  for (size_t i = 0; i + 1 < starts.size(); ++i) atoms.push_back({starts[i], starts[i + 1] - 1});
  return atoms;
}

// Without the states from which no text is accepted, but for the first.
Dfa Trimmed(Dfa dfa) {
  std::vector<std::vector<uint32_t>> sources(dfa.states.size());
  std::vector<uint32_t> live;
  for (uint32_t i = 0; i < dfa.states.size(); ++i) {
    for (const DfaEdge& edge : dfa.states[i].edges) sources[edge.to].push_back(i);
    if (dfa.states[i].accepts) live.push_back(i);
  }
  std::vector<bool> leads_on(dfa.states.size(), false);
  for (const uint32_t state : live) leads_on[state] = true;
  for (size_t i = 0; i < live.size(); ++i) {
    for (const uint32_t source : sources[live[i]]) {
      if (!leads_on[source]) live.push_back(source);
      leads_on[source] = true;
    }
  }
  std::vector<uint32_t> ids(dfa.states.size(), 0);
  Dfa trimmed;
  for (uint32_t i = 0; i < dfa.states.size(); ++i) {
    if (!leads_on[i] && i > 0) continue;
    ids[i] = static_cast<uint32_t>(trimmed.states.size());
    trimmed.states.push_back(std::move(dfa.states[i]));
  }
  for (DfaState& state : trimmed.states) {
    std::erase_if(state.edges, [&](const DfaEdge& edge) { return !leads_on[edge.to]; });
    for (DfaEdge& edge : state.edges) edge.to = ids[edge.to];
  }
  return trimmed;
}

// The subset construction.
class Determinizer {
 public:
  Determinizer(const Nfa& nfa, RegexBudget& budget)
      : network_(nfa), budget_(budget), atoms_(FindAtoms(nfa)), seen_(nfa.nodes.size(), 0) {}

  Result<Dfa> Run() && {
    const bool accepts = Contains(Close({network_.start}, true, true), network_.match);
    StateOf(Close({network_.start}, true, false), accepts);
    for (size_t i = 0; i < sets_.size(); ++i) {
      AddEdges(static_cast<uint32_t>(i));
      if (sets_.size() > kMaxDfaStates) return TooLarge();
      if (!budget_.Spend(0)) return TooMuchWork();
    }
    return Trimmed(std::move(automaton_));
  }

 private:
  static bool Contains(const NodeSet& nodes, uint32_t node) {
    return std::binary_search(nodes.begin(), nodes.end(), node);
  }

  // All nodes that are entered along with `nodes`.
  NodeSet Close(NodeSet nodes, bool at_start, bool at_finish) {
    ++round_;
    NodeSet closed;
    const auto enter = [&](const NodeSet& more) {
      for (const uint32_t node : more) {
        if (std::exchange(seen_[node], round_) != round_) closed.push_back(node);
      }
    };
    enter(nodes);
    for (size_t i = 0; i < closed.size(); ++i) {
      const Nfa::Node& node = network_.nodes[closed[i]];
      enter(node.always);
      if (at_start) enter(node.at_start);
      if (at_finish) enter(node.at_finish);
    }
    budget_.Spend(closed.size());
    std::sort(closed.begin(), closed.end());
    return closed;
  }

  // Once the pattern has been found nothing else matters.
  uint32_t StateOf(NodeSet closed, bool accepts) {
    if (Contains(closed, network_.match)) closed = {network_.match};
    const auto next = static_cast<uint32_t>(sets_.size());
    const auto [place, added] = ids_.try_emplace({std::move(closed), accepts}, next);
    if (added) {
      sets_.push_back(&place->first.first);
      automaton_.states.push_back({.edges = {}, .accepts = accepts});
    }
    return place->second;
  }

  void AddEdges(uint32_t state) {
    std::vector<NodeSet> targets(atoms_.size());
    for (const uint32_t index : *sets_[state]) {
      const Nfa::Node& node = network_.nodes[index];
      for (const CharRange& range : node.chars) {
        auto atom = std::lower_bound(atoms_.begin(), atoms_.end(), range.low,
                                     [](const CharRange& a, char32_t low) { return a.low < low; });
        for (; atom != atoms_.end() && atom->low <= range.high; ++atom) {
          budget_.Spend(1);
          targets[static_cast<size_t>(atom - atoms_.begin())].push_back(node.next);
        }
      }
    }
    std::map<uint32_t, std::vector<CharRange>> ranges;  // by the state they lead to
    uint32_t to = 0;
    for (size_t i = 0; i < atoms_.size() && budget_.steps > 0; ++i) {
      if (targets[i].empty()) continue;
      if (i == 0 || targets[i] != targets[i - 1]) {
        const bool accepts = Contains(Close(targets[i], false, true), network_.match);
        to = StateOf(Close(targets[i], false, false), accepts);
      }
      ranges[to].push_back(atoms_[i]);
    }
    for (auto& [target, chars] : ranges) {
      automaton_.states[state].edges.push_back({NormalizeChars(std::move(chars)), target});
    }
  }

  const Nfa& network_;
  RegexBudget& budget_;
  std::vector<CharRange> atoms_;
  std::vector<uint32_t> seen_;  // by node: the last round that entered it
  uint32_t round_ = 0;
  std::map<std::pair<NodeSet, bool>, uint32_t> ids_;
  std::vector<const NodeSet*> sets_;  // by state: keys of ids_
  Dfa automaton_;
};

CharSet IntersectChars(const CharSet& a, const CharSet& b) {
  CharSet both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const CharRange range = {std::max(a[i].low, b[j].low), std::min(a[i].high, b[j].high)};
    if (range.low <= range.high) both.push_back(range);
    a[i].high < b[j].high ? ++i : ++j;
  }
  return both;
}

// Two automata walked side by side: `add_edges(pair, edge)` calls edge(chars, pair after) for each
// edge of a pair of states and returns how many it looked at; `accepts(pair)` says whether the text
// may end there.
template <class AddEdges, class Accepts>
Result<Dfa> BuildProduct(const AddEdges& add_edges, const Accepts& accepts, RegexBudget& budget) {
  using Pair = std::pair<uint32_t, uint32_t>;
  Dfa product;
  std::map<Pair, uint32_t> ids;
  std::vector<Pair> pairs;
  const auto state_of = [&](const Pair& pair) {
    const auto [place, added] = ids.try_emplace(pair, static_cast<uint32_t>(pairs.size()));
    if (added) {
      pairs.push_back(pair);
      product.states.push_back({.edges = {}, .accepts = accepts(pair)});
    }
    return place->second;
  };
  state_of({0, 0});
  for (uint32_t i = 0; i < pairs.size(); ++i) {
    if (pairs.size() > kMaxDfaStates) return TooLarge();
    const size_t steps = add_edges(Pair(pairs[i]), [&](CharSet chars, const Pair& after) {
      const uint32_t to = state_of(after);
      product.states[i].edges.push_back({std::move(chars), to});
    });
    if (!budget.Spend(steps)) return TooMuchWork();
  }
  return Trimmed(std::move(product));
}

}  // namespace

Result<Dfa> BuildDfa(const RegexTree& tree, RegexBudget& budget) {
  if (budget.steps == 0) return TooMuchWork();
  const Result<Nfa> nfa = BuildNfa(tree);
  if (!nfa.ok()) return nfa.error();
  budget.Spend(kNodeCost * nfa->nodes.size());
  return Determinizer(*nfa, budget).Run();
}

Result<Dfa> IntersectDfas(const Dfa& a, const Dfa& b, RegexBudget& budget) {
  return BuildProduct(
      [&](const auto& pair, const auto& edge) {
        const std::vector<DfaEdge>& others = b.states[pair.second].edges;
        for (const DfaEdge& first : a.states[pair.first].edges) {
          for (const DfaEdge& second : others) {
            CharSet chars = IntersectChars(first.chars, second.chars);
            if (!chars.empty()) edge(std::move(chars), {first.to, second.to});
          }
        }
        return others.size() * a.states[pair.first].edges.size();
      },
      [&](const auto& pair) {
        return a.states[pair.first].accepts && b.states[pair.second].accepts;
      },
      budget);
}

Dfa ComplementDfa(const Dfa& pattern) {
  Dfa others = pattern;
  const auto none = static_cast<uint32_t>(others.states.size());  // the pattern cannot match
  for (DfaState& state : others.states) {
    state.accepts = !state.accepts;
    std::vector<CharRange> taken;
    for (const DfaEdge& edge : state.edges) {
      taken.insert(taken.end(), edge.chars.begin(), edge.chars.end());
    }
    CharSet rest = InvertChars(NormalizeChars(std::move(taken)));
    if (!rest.empty()) state.edges.push_back({std::move(rest), none});
  }
  others.states.push_back({.edges = {{AllChars(), none}}, .accepts = true});
  return others;
}

Result<Dfa> LimitLength(const Dfa& pattern, size_t least, std::optional<size_t> most,
                        RegexBudget& budget) {
  // The second of a pair counts characters, up to where more make no difference.
  const size_t enough = most.value_or(least);
  return BuildProduct(
      [&](const auto& pair, const auto& edge) -> size_t {
        if (most && pair.second == *most) return 0;
        const auto count = static_cast<uint32_t>(std::min<size_t>(pair.second + 1, enough));
        for (const DfaEdge& next : pattern.states[pair.first].edges) {
          edge(next.chars, {next.to, count});
        }
        return pattern.states[pair.first].edges.size();
      },
      [&](const auto& pair) { return pattern.states[pair.first].accepts && pair.second >= least; },
      budget);
}

}  // namespace atom::grammar
