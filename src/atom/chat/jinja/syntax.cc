#include "atom/chat/jinja/syntax.h"

#include <algorithm>
#include <array>

namespace atom::chat::jinja {

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

int DepthOf(const ExpressionPtr& expression) { return expression ? expression->depth : 0; }

int DepthOf(const std::vector<ExpressionPtr>& expressions) {
  int depth = 0;
  for (const ExpressionPtr& each : expressions) depth = std::max(depth, DepthOf(each));
  return depth;
}

int DepthOf(const Arguments& arguments) {
  int depth = DepthOf(arguments.positional);
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, DepthOf(value));
  return depth;
}

}  // namespace atom::chat::jinja
