// A grammar of texts as a network of byte automata that call each other: what a JSON schema is
// compiled to (json_schema.h), what a matcher walks (grammar_matcher.h).
//
//   rule "object":  s ─ '{' ─> s1 ─ call(member) ─> s2 ─ '}' ─> final
//
// Promises: every state that can be reached can go on to the end of the text, so a walk that only
// takes allowed bytes never gets stuck; no rule matches the empty text, and none begins with a call
// of itself, so a step on one byte always terminates. What is promised of bytes holds of tokens too
// once a grammar keeps to those of a vocabulary (spellable.h). Shared, a Grammar never changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "atom/core/result.h"

namespace atom::grammar {

struct ByteEdge {
  uint8_t low;
  uint8_t high;  ///< inclusive
  uint32_t to;
};

struct CallEdge {
  uint32_t rule;
  uint32_t to;  ///< where the caller goes on when the rule has ended
};

/// A state's outgoing edges.
struct GrammarState {
  std::vector<ByteEdge> bytes;
  std::vector<CallEdge> calls;
  std::vector<uint32_t> epsilons;  ///< states entered without a byte
  bool final = false;              ///< the rule may end here
  bool spellable = true;           ///< a token may end here: tokens can write what is left
};

struct GrammarRule {
  uint32_t start;
  uint32_t rank;     ///< larger than that of every rule that may call it before its first byte
  std::string name;  ///< for errors: the path of its schema
};

class Grammar {
 public:
  /// The state in which the whole text has ended. It has no edges.
  static constexpr uint32_t kEnd = 0;

  const GrammarState& state(uint32_t id) const { return states_[id]; }
  const GrammarRule& rule(uint32_t id) const { return rules_[id]; }
  uint32_t root() const { return root_; }  ///< the rule of the whole text
  size_t state_count() const { return states_.size(); }

  /// Marks the states that are not in `spellable`, one truth a state, and cuts the calls of and
  /// behind them: whatever is called can be returned from.
  void KeepTo(const std::vector<bool>& spellable);

 private:
  friend class GrammarBuilder;
  std::vector<GrammarState> states_;
  std::vector<GrammarRule> rules_;
  uint32_t root_ = 0;
};

/// Puts a Grammar together. Past `max_states` states (or eight times as many edges) nothing is
/// added any more and full() says so: whoever adds in a loop stops there.
class GrammarBuilder {
 public:
  explicit GrammarBuilder(size_t max_states);

  uint32_t AddState();
  uint32_t AddRule(std::string name);  ///< with a start state
  uint32_t StartOf(uint32_t rule) const { return grammar_.rules_[rule].start; }

  void AddBytes(uint32_t from, uint8_t low, uint8_t high, uint32_t to);
  void AddByte(uint32_t from, char byte, uint32_t to);
  void AddCall(uint32_t from, uint32_t rule, uint32_t to);
  void AddEpsilon(uint32_t from, uint32_t to);
  void MarkFinal(uint32_t state) { grammar_.states_[state].final = true; }

  bool full() const { return full_; }
  size_t state_count() const { return grammar_.states_.size(); }

  /// Cuts what can never end. An Error if that is everything, or if a rule begins with itself.
  /// REQUIRES: not full(); no rule matches the empty text.
  Result<Grammar> Finish(uint32_t root) &&;

 private:
  bool MayAddEdge();
  void CutUnproductive(const std::vector<bool>& productive);
  std::vector<uint32_t> LeftCalls(uint32_t rule) const;
  Status RankRules();

  Grammar grammar_;
  size_t max_states_;
  size_t edges_ = 0;
  bool full_ = false;
};

}  // namespace atom::grammar
