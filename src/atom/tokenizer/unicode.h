// UTF-8 and the few Unicode properties that tokenizers look at. Bottom of the tokenizer module.
//
// Promises: any bytes are accepted. What is not UTF-8 is reported, never skipped: as in the WHATWG
// decoder (and Python's and Rust's "replace"), each maximal ill-formed part counts as one U+FFFD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace atom::tokenizer {

enum class Utf8Status : uint8_t {
  kValid,
  kInvalid,    ///< no continuation of the text can make this valid
  kTruncated,  ///< the text ends inside a sequence that is valid so far
};

struct Utf8Char {
  char32_t code;   ///< U+FFFD unless valid
  uint8_t length;  ///< bytes that it takes, 1 to 4
  Utf8Status status;
};

/// The character (or ill-formed part) at `pos`. REQUIRES: pos < text.size().
Utf8Char NextChar(std::string_view text, size_t pos);

/// The first ill-formed part at or after `pos`, or text.size().
size_t FindInvalid(std::string_view text, size_t pos);

/// `text` with U+FFFD for every ill-formed part.
std::string ToValidUtf8(std::string_view text);

/// Bytes at the end of `text` that begin a sequence and may yet become valid: 0 to 3.
size_t IncompleteTail(std::string_view text);

enum class CharClass : uint8_t {
  kLetter,   ///< \p{L}
  kNumber,   ///< \p{N}
  kNewline,  ///< \r and \n, which \s holds too
  kSpace,    ///< every other \s: White_Space
  kOther,    ///< everything else, ill-formed bytes included
};

CharClass ClassOf(char32_t code);

/// \s
bool IsSpace(char32_t code);

/// \w as regular expressions define it: letters, marks, decimal numbers, connectors, joiners.
bool IsWordChar(char32_t code);

/// `text` without the \s at its start, or at its end.
std::string_view TrimStart(std::string_view text);
std::string_view TrimEnd(std::string_view text);

/// The first character in title case, the others in lower case. One character for one, so "ß"
/// stays as it is.
std::string Capitalize(std::string_view text);

}  // namespace atom::tokenizer
