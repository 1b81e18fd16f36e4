#include "atom/grammar/regex/nfa.h"

#include <utility>

namespace atom::grammar {
namespace {

constexpr size_t kMaxNodes = 8192;

class NfaBuilder {
 public:
  explicit NfaBuilder(const RegexTree& tree) : tree_(tree) {}

  Result<Nfa> Build() && {
    network_.start = Add();
    AddLoop(network_.start);
    const uint32_t begin = Add();
    network_.nodes[network_.start].always.push_back(begin);
    network_.match = Emit(tree_.root, begin);
    if (full_) return MakeError("needs more than {} steps", kMaxNodes);
    AddLoop(network_.match);
    return std::move(network_);
  }

 private:
  using Node = Nfa::Node;

  uint32_t Add() {
    full_ = full_ || network_.nodes.size() >= kMaxNodes;
    if (full_) return 0;
    network_.nodes.emplace_back();
    return static_cast<uint32_t>(network_.nodes.size() - 1);
  }
  void Join(uint32_t from, uint32_t to) { network_.nodes[from].always.push_back(to); }
  void AddLoop(uint32_t node) {
    network_.nodes[node].chars = AllChars();
    network_.nodes[node].next = node;
  }

  // Adds what matches the tree's node after `from`, a node without characters yet; returns the
  // node, likewise without, where the match ends.
  uint32_t Emit(uint32_t index, uint32_t from) {
    const RegexNode& node = tree_.nodes[index];
    const uint32_t to = Add();
    if (full_) return 0;
    switch (node.kind) {
      case RegexNode::Kind::kChars:
        network_.nodes[from].chars = node.chars;
        network_.nodes[from].next = to;
        break;
      case RegexNode::Kind::kStart:
        network_.nodes[from].at_start.push_back(to);
        break;
      case RegexNode::Kind::kFinish:
        network_.nodes[from].at_finish.push_back(to);
        break;
      case RegexNode::Kind::kSequence:
        for (const uint32_t child : node.children) from = Emit(child, from);
        Join(from, to);
        break;
      case RegexNode::Kind::kAlternatives:
        for (const uint32_t child : node.children) {
          const uint32_t begin = Add();
          Join(from, begin);
          Join(Emit(child, begin), to);
        }
        break;
      case RegexNode::Kind::kRepeat:
        EmitRepeat(node, from, to);
        break;
    }
    return to;
  }

  void EmitRepeat(const RegexNode& node, uint32_t from, uint32_t to) {
    const uint32_t child = node.children.front();
    for (uint32_t i = 0; i < node.least && !full_; ++i) from = Emit(child, from);
    if (!node.most) {
      const uint32_t loop = Add();
      const uint32_t begin = Add();
      Join(from, loop);
      Join(loop, begin);
      Join(Emit(child, begin), loop);
      Join(loop, to);
      return;
    }
    // Each optional one leads straight to the end, not past all the others.
    for (uint32_t i = node.least; i < *node.most && !full_; ++i) {
      const uint32_t begin = Add();
      Join(from, begin);
      Join(from, to);
      from = Emit(child, begin);
    }
    Join(from, to);
  }

  const RegexTree& tree_;
  Nfa network_;
  bool full_ = false;
};

}  // namespace

Result<Nfa> BuildNfa(const RegexTree& tree) { return NfaBuilder(tree).Build(); }

}  // namespace atom::grammar
