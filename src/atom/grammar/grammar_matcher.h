// Where a text stands in a Grammar: all the ways to read what has come so far, at once.
//
//   text so far ─ Accept(byte) … ─ CanEnd()?
//
// A way is an Item: a state, and the Context it was called in. Contexts are the stack of a stack
// machine, shared: one holds the return states of every caller that reached a rule at the same
// byte, so that ambiguous schemas cost a sum over their branches and not a product over depths.
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

/// A state, or a state to return to, and the id of a context.
struct Item {
  uint32_t state;
  uint32_t context;

  auto operator<=>(const Item&) const = default;
};

/// Sorted, none twice.
using ItemSet = std::vector<Item>;

/// Contexts by number, equal ones stored once. Those that an entry names come before its own.
class ContextStore {
 public:
  /// What the whole text is called in.
  static constexpr uint32_t kBottom = 0;

  ContextStore();
  uint32_t Intern(const ItemSet& entries);
  const ItemSet& entries(uint32_t context) const { return *contexts_[context]; }
  size_t size() const { return contexts_.size(); }

 private:
  friend class GrammarMatcher;
  std::map<ItemSet, uint32_t> ids_;
  std::vector<const ItemSet*> contexts_;  // keys of ids_
};

/// The items before the first byte.
ItemSet StartItems(const Grammar& grammar, ContextStore& contexts);

/// The items after `byte`; empty if it cannot come next.
ItemSet StepItems(const Grammar& grammar, ContextStore& contexts, const ItemSet& items,
                  uint8_t byte);

/// `items` of one store as items of another.
ItemSet TransferItems(const ContextStore& from, const ItemSet& items, ContextStore& to);

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
  const ContextStore& contexts() const { return contexts_; }

 private:
  void ForgetContexts();

  const Grammar* grammar_;
  ContextStore contexts_;
  ItemSet items_;
  size_t forget_at_;
};

}  // namespace atom::grammar
