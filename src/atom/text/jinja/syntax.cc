#include "atom/text/jinja/syntax.h"

#include <array>

namespace atom::text::jinja {

std::string_view Name(Operator op) {
  constexpr std::array<std::string_view, 18> kNames = {
      "or",     "and", "==", "!=", "<", "<=", ">",  ">=", "in",
      "not in", "+",   "-",  "~",  "*", "/",  "//", "%",  "**"};
  return kNames[static_cast<size_t>(op)];
}

std::string_view Name(UnaryOperator op) {
  constexpr std::array<std::string_view, 3> kNames = {"not", "-", "+"};
  return kNames[static_cast<size_t>(op)];
}

}  // namespace atom::text::jinja
