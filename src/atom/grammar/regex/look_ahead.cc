#include "atom/grammar/regex/look_ahead.h"

#include <cstddef>
#include <fmt/format.h>

namespace atom::grammar {
namespace {

// Behind the group that starts at `pos`, or behind everything if it does not close; at a | outside
// of groups if there is none.
size_t EndOfGroup(std::string_view pattern, size_t pos) {
  int depth = 0;
  bool in_class = false;
  for (; pos < pattern.size(); ++pos) {
    const char c = pattern[pos];
    if (c == '\\') {
      ++pos;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
    } else if (c == '(') {
      ++depth;
    } else if (c == ')' && --depth <= 0) {
      return pos + 1;
    } else if (c == '|' && depth == 0) {
      return pos;
    }
  }
  return pattern.size();
}

bool HasBranches(std::string_view pattern) {
  for (size_t pos = 0; pos < pattern.size(); pos = EndOfGroup(pattern, pos)) {
    if (pattern[pos] == '|') return true;
  }
  return false;
}

}  // namespace

LookAheads SplitLookAheads(std::string_view pattern) {
  LookAheads split;
  split.rest = pattern;
  if (!pattern.starts_with("^(?") || HasBranches(pattern)) return split;
  std::string_view left = pattern.substr(1);
  while (left.starts_with("(?=") || left.starts_with("(?!")) {
    constexpr size_t kOpening = 3;
    const size_t end = EndOfGroup(left, 0);
    std::vector<std::string>& conditions = left[2] == '=' ? split.required : split.forbidden;
    conditions.push_back(fmt::format("^(?:{}", left.substr(kOpening, end - kOpening)));
    left.remove_prefix(end);
  }
  split.rest = fmt::format("^{}", left);
  return split;
}

}  // namespace atom::grammar
