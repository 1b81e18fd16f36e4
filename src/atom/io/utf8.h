// Is a text UTF-8, and what else might it be? For files that people hand over; tokenizers, which
// take any bytes, have a reader of their own (tokenizer/unicode.h).
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"

namespace atom::io {

/// Bytes of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7), 0 if
/// there is none. REQUIRES: text is not empty.
size_t Utf8SequenceLength(std::string_view text);

/// The position of the first byte that is not UTF-8, or npos.
size_t FirstInvalidUtf8(std::string_view text);

/// An Error that says what the file seems to be instead: compressed or another format by its first
/// bytes, UTF-16 or UTF-32 by its byte-order mark or its zeros, else an encoding of single bytes.
Status CheckUtf8(std::string_view text, const std::string& source);

}  // namespace atom::io
