// Which values of an enum satisfy the keywords that stand beside it. Under json_schema.h's
// compiler.
#pragma once

#include <vector>

#include "atom/core/result.h"
#include "atom/grammar/json_schema/schema_shape.h"
#include "atom/grammar/regex/regex.h"

namespace atom::grammar {

/// REQUIRES: shape.values. An Error if none is left and no other branch may hold.
Result<std::vector<const SchemaValue*>> ValuesOf(const Shape& shape, RegexBudget& budget);

}  // namespace atom::grammar
