// Builds the syntax tree of a template from its tokens: statements here, expressions in
// expression_parser.h. What this interpreter does not know (tags, filters, tests, functions,
// methods) is refused by name, with its line, before anything is run.
#pragma once

#include <vector>

#include "atom/chat/jinja/lexer.h"
#include "atom/chat/jinja/syntax.h"
#include "atom/core/result.h"

namespace atom::chat::jinja {

/// Errors begin with "line N: ".
Result<Body> Parse(std::vector<Token> tokens);

}  // namespace atom::chat::jinja
