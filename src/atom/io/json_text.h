// A member of a JSON object as the text has it: where the order of keys or the spelling of numbers
// matters, which a parsed Json has lost.
#pragma once

#include <optional>
#include <string_view>

namespace atom::io {

/// The text of the value of `key` in the object that `object` is, spaces around it left out. Takes
/// one pass and no memory. REQUIRES: ParseJson accepted `object`, or what it is a part of.
std::optional<std::string_view> FindJsonText(std::string_view object, std::string_view key);

}  // namespace atom::io
