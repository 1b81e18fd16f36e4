// The alphabet in which byte-level vocabularies spell raw bytes: each of the 256 bytes is a
// printable character. Bytes that print in Latin-1 spell themselves, the other 68 are U+0100 and
// up in order, so a space is "Ġ" and a newline "Ċ". Used by the readers of tokenizer.json and
// vocab.json, past which most tokenizers are raw bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace atom::tokenizer {

/// The raw bytes that `spelled` stands for; nullopt if it has a character outside the alphabet.
std::optional<std::string> FromByteAlphabet(std::string_view spelled);

/// `raw` in the alphabet.
std::string ToByteAlphabet(std::string_view raw);

}  // namespace atom::tokenizer
