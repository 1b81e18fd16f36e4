// The objects and arrays that a Shape allows, as automata whose members are calls of other rules.
//
// Members come in the order of the schema's properties, the optional ones may be left out; then
// required names that are not among the properties, then any others that additionalProperties
// allows. Names of those are never one of the former, but one may come twice.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/grammar/json_schema/json_rules.h"
#include "atom/grammar/json_schema/schema_shape.h"

namespace atom::grammar {

/// The rule of the values that satisfy some schemas; of any value if there is none.
using RuleOf = std::function<uint32_t(const SchemaSet& schemas)>;

/// from ─ an object of `shape` ─> to
Status AddObjects(JsonRules& rules, const Shape& shape, const RuleOf& rule_of, uint32_t from,
                  uint32_t to);

/// from ─ an array of `shape` ─> to
void AddArrays(JsonRules& rules, const Shape& shape, const RuleOf& rule_of, uint32_t from,
               uint32_t to);

/// from ─ an array of some of `values`, none twice, of shape.min_items to max_items ─> to. False if
/// there are more than 4,096 sets that such an array may have: of more than 12 values, say.
bool AddUniqueArrays(JsonRules& rules, const Shape& shape, const std::vector<std::string>& values,
                     uint32_t from, uint32_t to);

/// What `shape` demands of the item `index`.
SchemaSet SchemasOfItem(const Shape& shape, size_t index);

/// What `shape` demands of the property `name`.
SchemaSet SchemasOfProperty(const Shape& shape, const std::string& name);

}  // namespace atom::grammar
