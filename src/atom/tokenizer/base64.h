// Base64 (RFC 4648, 4), strict: for the ranks of tiktoken.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace atom::tokenizer {

/// nullopt unless `text` is whole quads of the alphabet, padded with '=' at the end.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace atom::tokenizer
