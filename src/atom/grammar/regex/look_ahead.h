// Look-ahead where a regular expression starts, as conditions of their own on the whole text:
//
//   ^(?=a)(?!b)c      texts of ^(?:a) and of ^c that are not of ^(?:b)
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace atom::grammar {

struct LookAheads {
  std::vector<std::string> required;
  std::vector<std::string> forbidden;
  std::string rest;
};

/// All of `pattern` is the rest where it starts otherwise, or has a | outside of groups.
LookAheads SplitLookAheads(std::string_view pattern);

}  // namespace atom::grammar
