// Whether the branches of a oneOf provably exclude each other: only then is it enforced by writing
// any one of them.
//
// Proofs that are known: no type in common; enum or const without a value in common; objects that
// all have a property whose schemas exclude each other, such as "kind" with different constants.
#pragma once

#include "atom/core/result.h"
#include "atom/grammar/json_schema/schema_shape.h"

namespace atom::grammar {

/// An Error that names the first two of `branches` without a proof. `use` is the oneOf.
Status CheckExclusive(const SchemaReader& reader, const SchemaSet& branches, const KeywordUse& use);

}  // namespace atom::grammar
