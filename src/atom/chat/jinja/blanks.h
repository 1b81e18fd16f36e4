// Characters of a text, as Python counts and classifies them: code points, and what str.isspace
// calls white space. Ill-formed parts of UTF-8 count as one character each.
#pragma once

#include <cstddef>
#include <string_view>

namespace atom::chat::jinja {

/// White space, and the four separators that Python adds to it.
bool IsBlank(char32_t code);

/// Bytes of white space at the start and at the end.
size_t LeadingBlanks(std::string_view text);
size_t TrailingBlanks(std::string_view text);

size_t CountChars(std::string_view text);

/// Where character `index` begins, or the size if there are not so many.
size_t ByteOffset(std::string_view text, size_t index);

/// The end of the line at `pos`, by every line break that str.splitlines knows; `next` is where the
/// next line begins.
size_t LineEnd(std::string_view text, size_t pos, size_t& next);

}  // namespace atom::chat::jinja
