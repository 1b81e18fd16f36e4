// Where a text stands in a Grammar: all the ways to read what has come so far, at once.
//
//   text so far ─ Accept(byte) … ─ CanEnd()?
//
// A way is an Item: a state, and the stack node it was called in. Stack nodes form a
// graph-structured stack (Tomita 1985): one holds the return states of every caller that reached a
// rule at the same byte, so that ambiguous schemas cost a sum over their branches and not a product
// over depths.
//
// Promises: after any accepted bytes some byte can follow or the text can end; a step costs the
// number of items times their edges, not the length of the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "atom/grammar/grammar.h"

namespace atom::grammar {

/// A state, or a state to return to, and the id of a stack.
struct Item {
  uint32_t state;
  uint32_t stack;

  auto operator<=>(const Item&) const = default;
};

/// Sorted, none twice.
using ItemSet = std::vector<Item>;

/// Stack nodes by number, equal ones stored once. Those that an entry names come before its own.
class StackGraph {
 public:
  /// What the whole text is called in.
  static constexpr uint32_t kBottom = 0;

  StackGraph();
  uint32_t Intern(const ItemSet& entries);
  const ItemSet& entries(uint32_t stack) const { return *stacks_[stack]; }
  size_t size() const { return stacks_.size(); }

 private:
  friend class GrammarMatcher;
  std::map<ItemSet, uint32_t> ids_;
  std::vector<const ItemSet*> stacks_;  // keys of ids_
};

/// The items before the first byte.
ItemSet StartItems(const Grammar& grammar, StackGraph& stacks);

/// The items after `byte`; empty if it cannot come next.
ItemSet StepItems(const Grammar& grammar, StackGraph& stacks, const ItemSet& items, uint8_t byte);

/// `items` of one store as items of another.
ItemSet TransferItems(const StackGraph& from, const ItemSet& items, StackGraph& to);

bool CanEnd(const ItemSet& items);

/// A value: copy it to try what may come.
class GrammarMatcher {
 public:
  /// REQUIRES: `grammar` outlives this.
  explicit GrammarMatcher(const Grammar& grammar);
  GrammarMatcher(const GrammarMatcher& other);
  GrammarMatcher(GrammarMatcher&& other) = default;
  GrammarMatcher& operator=(const GrammarMatcher& other);
  GrammarMatcher& operator=(GrammarMatcher&& other) = default;

  /// False, and nothing has changed, if the byte cannot come next.
  bool Accept(uint8_t byte);
  /// All bytes of a token, or none.
  bool AcceptAll(std::string_view bytes);
  bool CanEnd() const { return grammar::CanEnd(items_); }

  const Grammar& grammar() const { return *grammar_; }
  const ItemSet& items() const { return items_; }
  const StackGraph& stacks() const { return stacks_; }

 private:
  void ForgetStacks();

  const Grammar* grammar_;
  StackGraph stacks_;
  ItemSet items_;
  size_t forget_at_;
};

}  // namespace atom::grammar
