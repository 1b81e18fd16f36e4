// Builds the syntax tree of a template from its tokens: statements here, expressions in
// expression_parser.h. What this interpreter does not know (tags, filters, tests, functions,
// methods) is refused by name, with its line, before anything is run.
#pragma once

#include <vector>

#include "atom/core/result.h"
#include "atom/text/jinja/lexer.h"
#include "atom/text/jinja/syntax.h"

namespace atom::text::jinja {

/// Errors begin with "line N: ".
Result<Body> Parse(std::vector<Token> tokens);

}  // namespace atom::text::jinja
