#include "atom/grammar/productive.h"

#include <algorithm>
#include <array>

namespace atom::grammar {
namespace {

/// `from` is productive once both the state that lists this and `partner` are.
struct Source {
  uint32_t from;
  uint32_t partner;
};
using Sources = std::vector<std::vector<Source>>;  // by state

class ByteCounter {
 public:
  explicit ByteCounter(const ByteSet& bytes) {
    for (size_t byte = 0; byte < bytes.size(); ++byte) {
      below_[byte + 1] = below_[byte] + (bytes[byte] ? 1 : 0);
    }
  }
  bool AnyOf(const ByteEdge& edge) const { return below_[edge.high + 1] > below_[edge.low]; }

 private:
  std::array<int, 257> below_{};  // how many of the set are below a byte
};

Sources ReverseEdges(const Grammar& grammar, const ByteSet& bytes, const std::vector<Jump>& jumps) {
  const ByteCounter counter(bytes);
  Sources sources(grammar.state_count());
  for (uint32_t s = 0; s < grammar.state_count(); ++s) {
    const GrammarState& state = grammar.state(s);
    for (const ByteEdge& edge : state.bytes) {
      if (counter.AnyOf(edge)) sources[edge.to].push_back({s, edge.to});
    }
    for (const uint32_t to : state.epsilons) sources[to].push_back({s, to});
    for (const CallEdge& edge : state.calls) {
      const uint32_t start = grammar.rule(edge.rule).start;
      sources[edge.to].push_back({s, start});
      sources[start].push_back({s, edge.to});
    }
  }
  for (const Jump& jump : jumps) sources[jump.to].push_back({jump.from, jump.to});
  return sources;
}

}  // namespace

// Backwards from the final states.
std::vector<bool> FindProductive(const Grammar& grammar, const ByteSet& bytes,
                                 const std::vector<Jump>& jumps) {
  const Sources sources = ReverseEdges(grammar, bytes, jumps);
  std::vector<bool> productive(grammar.state_count(), false);
  std::vector<uint32_t> found;
  for (uint32_t s = 0; s < grammar.state_count(); ++s) {
    if (!grammar.state(s).final) continue;
    productive[s] = true;
    found.push_back(s);
  }
  while (!found.empty()) {
    const uint32_t reached = found.back();
    found.pop_back();
    for (const Source& source : sources[reached]) {
      if (productive[source.from] || !productive[source.partner]) continue;
      productive[source.from] = true;
      found.push_back(source.from);
    }
  }
  return productive;
}

}  // namespace atom::grammar
