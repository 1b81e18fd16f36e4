// JSON schemas as grammars, for answers that must be JSON: a model may only write what the grammar
// allows (token_mask.h).
//
//   schema ─ CompileJsonSchema ─ Grammar ─ GrammarMatcher, TokenMask ─ which tokens may come next
//
// Promises: every text of the grammar is JSON (RFC 8259, UTF-8) that satisfies the schema. It fails
// closed: a keyword of JSON Schema that is not enforced is refused by name, with its path; what is
// only an annotation, unknown formats among it, is passed over. The grammar may allow
// less than the schema, never more: see json_rules.h for white space and numbers, object_rule.h for
// the order of members, json_spelling.h for escapes, string_formats.h for formats.
//
// Enforced: type, enum, const, properties, required, additionalProperties, items, prefixItems,
// minItems, maxItems, minLength, maxLength, pattern (pattern_syntax.h), format, minimum, maximum
// and the exclusive ones, multipleOf (multiple_of.h), uniqueItems (of few known values), $ref to
// '#…', recursive too, allOf, anyOf, oneOf if its branches provably exclude each other, true and
// false.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "atom/core/result.h"
#include "atom/grammar/grammar.h"

namespace atom::grammar {

struct JsonSchemaLimits {
  size_t max_bytes = size_t{256} << 10;  ///< of the schema
  size_t max_states = size_t{1} << 17;   ///< of the grammar: about 150 bytes each
  size_t max_branches = 256;             ///< of all anyOf and oneOf together
};

/// Calls `rest` between rules, and about every 50 microseconds in one with patterns.
Result<Grammar> CompileJsonSchema(
    std::string_view schema, const JsonSchemaLimits& limits = {},
    const std::function<void()>& rest = [] {});

/// Any JSON object: what {"type": "json_object"} asks for.
Grammar AnyJsonObject();

}  // namespace atom::grammar
