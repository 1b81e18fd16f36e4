// The formats of JSON Schema that are enforced, each as a regular expression (pattern_syntax.h).
//
// Promises: what the expression matches is valid by the format's RFC. It may match less: dates have
// no 29 February and no leap seconds, IPv6 addresses all eight groups, names ASCII only.
#pragma once

#include <optional>
#include <string_view>

namespace atom::grammar {

std::optional<std::string_view> FindFormat(std::string_view name);

}  // namespace atom::grammar
