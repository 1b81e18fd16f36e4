// One item of a task, ready to be scored: how likely is each choice's continuation behind its
// context? What task readers give and multiple_choice takes. A single choice is a continuation that
// the model should find by itself (lambada_openai).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atom::eval {

struct Choice {
  std::string context;
  std::string continuation;  ///< with the space in front of it
  int64_t length = 0;        ///< of the choice itself in characters, what acc_norm divides by
  friend bool operator==(const Choice&, const Choice&) = default;
};

struct ChoiceItem {
  std::vector<Choice> choices;
  int64_t gold = 0;  ///< the index of the right one
  friend bool operator==(const ChoiceItem&, const ChoiceItem&) = default;
};

}  // namespace atom::eval
