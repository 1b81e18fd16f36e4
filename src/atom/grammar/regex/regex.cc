#include "atom/grammar/regex/regex.h"

#include <algorithm>
#include <map>
#include <utility>

#include "atom/grammar/regex/nfa.h"

namespace atom::grammar {
namespace {

using NodeSet = std::vector<uint32_t>;  // sorted

constexpr size_t kNodeCost = 10;  // steps that making a node of the network is worth

Error TooLarge() { return MakeError("needs more than {} states", kMaxPatternStates); }

Error TooMuchWork() { return MakeError("takes too much work"); }

// Characters that no edge of the network tells apart, as ranges in order.
std::vector<CharRange> FindAtoms(const PatternNetwork& network) {
  std::vector<char32_t> starts;
  for (const PatternNetwork::Node& node : network.nodes) {
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

// The subset construction.
class Determinizer {
 public:
  Determinizer(const PatternNetwork& network, PatternBudget& budget)
      : network_(network),
        budget_(budget),
        atoms_(FindAtoms(network)),
        seen_(network.nodes.size(), 0) {}

  Result<PatternAutomaton> Run() && {
    const bool accepts = Contains(Close({network_.start}, true, true), network_.match);
    StateOf(Close({network_.start}, true, false), accepts);
    for (size_t i = 0; i < sets_.size(); ++i) {
      AddEdges(static_cast<uint32_t>(i));
      if (sets_.size() > kMaxPatternStates) return TooLarge();
      if (!budget_.Spend(0)) return TooMuchWork();
    }
    return std::move(automaton_);
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
      const PatternNetwork::Node& node = network_.nodes[closed[i]];
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
      const PatternNetwork::Node& node = network_.nodes[index];
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

  const PatternNetwork& network_;
  PatternBudget& budget_;
  std::vector<CharRange> atoms_;
  std::vector<uint32_t> seen_;  // by node: the last round that entered it
  uint32_t round_ = 0;
  std::map<std::pair<NodeSet, bool>, uint32_t> ids_;
  std::vector<const NodeSet*> sets_;  // by state: keys of ids_
  PatternAutomaton automaton_;
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
Result<PatternAutomaton> BuildProduct(const AddEdges& add_edges, const Accepts& accepts,
                                      PatternBudget& budget) {
  using Pair = std::pair<uint32_t, uint32_t>;
  PatternAutomaton product;
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
    if (pairs.size() > kMaxPatternStates) return TooLarge();
    const size_t steps = add_edges(Pair(pairs[i]), [&](CharSet chars, const Pair& after) {
      const uint32_t to = state_of(after);
      product.states[i].edges.push_back({std::move(chars), to});
    });
    if (!budget.Spend(steps)) return TooMuchWork();
  }
  return product;
}

}  // namespace

Result<PatternAutomaton> BuildPattern(const PatternTree& tree, PatternBudget& budget) {
  if (budget.steps == 0) return TooMuchWork();
  const Result<PatternNetwork> network = BuildNetwork(tree);
  if (!network.ok()) return network.error();
  budget.Spend(kNodeCost * network->nodes.size());
  return Determinizer(*network, budget).Run();
}

Result<PatternAutomaton> IntersectPatterns(const PatternAutomaton& a, const PatternAutomaton& b,
                                           PatternBudget& budget) {
  return BuildProduct(
      [&](const auto& pair, const auto& edge) {
        const std::vector<PatternEdge>& others = b.states[pair.second].edges;
        for (const PatternEdge& first : a.states[pair.first].edges) {
          for (const PatternEdge& second : others) {
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

Result<PatternAutomaton> LimitLength(const PatternAutomaton& pattern, size_t least,
                                     std::optional<size_t> most, PatternBudget& budget) {
  // The second of a pair counts characters, up to where more make no difference.
  const size_t enough = most.value_or(least);
  return BuildProduct(
      [&](const auto& pair, const auto& edge) -> size_t {
        if (most && pair.second == *most) return 0;
        const auto count = static_cast<uint32_t>(std::min<size_t>(pair.second + 1, enough));
        for (const PatternEdge& next : pattern.states[pair.first].edges) {
          edge(next.chars, {next.to, count});
        }
        return pattern.states[pair.first].edges.size();
      },
      [&](const auto& pair) { return pattern.states[pair.first].accepts && pair.second >= least; },
      budget);
}

}  // namespace atom::grammar
