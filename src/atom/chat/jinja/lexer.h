// Cuts a template's source into tokens: text between the tags, and what stands inside them. Blanks
// are controlled as in Hugging Face's environment (trim_blocks and lstrip_blocks on), by the rules
// of Jinja2's lexer: one newline after a tag is dropped, blanks before a tag that begins a line
// too, all blanks at a "-", none at a "+".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"

namespace atom::chat::jinja {

enum class TokenKind : uint8_t {
  kText,         ///< outside of tags, blanks removed as the tags around it say
  kOutputBegin,  ///< {{
  kOutputEnd,
  kTagBegin,  ///< {%
  kTagEnd,
  kName,
  kString,   ///< its text has the escapes resolved
  kInteger,  ///< its text are digits without "_", maybe with 0x, 0o or 0b in front
  kFloat,
  kOperator,  ///< its text is the operator
  kEnd,
};

/// "text", "'{{'", …: what an error calls it.
std::string_view Name(TokenKind kind);

/// 16, 8 or 2 of the letter behind a number's first 0, x, o or b in any case; else 10.
int BaseOf(char letter);

struct Token {
  TokenKind kind;
  std::string text;
  int line;
};

/// The tokens, the last one kEnd. Errors begin with "line N: ".
Result<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace atom::chat::jinja
