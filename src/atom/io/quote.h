// Names and strings that come out of files, made safe to print inside an error's sentence: one
// line, bounded, valid UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace atom::io {

/// 'text' in single quotes; control characters and bytes that are not UTF-8 as \xNN; at most
/// about `max_bytes` bytes of the text, then an ellipsis.
std::string Quote(std::string_view text, size_t max_bytes = 80);

}  // namespace atom::io
