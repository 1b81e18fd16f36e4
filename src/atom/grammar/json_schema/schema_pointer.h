// Places in a schema: "#/properties/a~1b" (RFC 6901 behind a #), as $ref names them and errors do.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/grammar/json_schema/schema_value.h"

namespace atom::grammar {

/// What `pointer` names in the document `root`. An Error is the end of a sentence: "leads nowhere".
Result<const SchemaValue*> FollowPointer(const SchemaValue& root, std::string_view pointer);

/// "#/a" and "b/c": "#/a/b~1c".
std::string JoinPath(const std::string& path, std::string_view key);

}  // namespace atom::grammar
