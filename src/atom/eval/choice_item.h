// One item of a multiple-choice task, ready to be scored: how likely is each choice's continuation
// behind its context? What task readers give and multiple_choice takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace atom::eval {

struct Choice {
  std::string context;
  std::string continuation;  ///< with the space in front of it
  int64_t length = 0;        ///< of the choice itself in characters, what acc_norm divides by
};

struct ChoiceItem {
  std::vector<Choice> choices;  ///< at least two
  int64_t gold = 0;             ///< the index of the right one
};

}  // namespace atom::eval
