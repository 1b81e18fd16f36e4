// The escapes of a string literal: Python's, which Jinja takes over.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom::chat::jinja {

/// `quoted` is what stands between the quotes. A sequence that Python does not know stays as it is;
/// \N{…} and surrogates are refused.
Result<std::string> Unescape(std::string_view quoted);

/// Appends a character as UTF-8. REQUIRES: a code point.
void AppendUtf8(char32_t code, std::string& to);

}  // namespace atom::chat::jinja
