// The JSON of a schema as a tree that keeps what a schema's meaning needs and io::Json loses: the
// order of an object's members and the spelling of its numbers. Bottom of json_schema.h's compiler.
//
// Promises: whatever io::ParseJson refuses (bad JSON, deep nesting, a key twice) is refused; values
// never move, so that a pointer to one names it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/core/result.h"

namespace atom::grammar {

struct SchemaValue {
  enum class Kind : uint8_t { kNull, kBoolean, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool truth = false;                      ///< of a boolean
  std::string text = {};                   ///< of a string; a number as it is spelled
  std::vector<std::string> keys = {};      ///< of an object
  std::vector<SchemaValue> children = {};  ///< an array's, or an object's by key

  bool Is(Kind wanted) const { return kind == wanted; }
  /// An object's member, or nullptr.
  const SchemaValue* Find(std::string_view key) const;
  /// The integer that a number is (3, 3.0, 3e2), if it is one within ±2^53 or spelled without
  /// point and exponent within int64.
  std::optional<int64_t> AsInteger() const;
  /// A number's value, rounded.
  double AsDouble() const;
};

Result<std::unique_ptr<SchemaValue>> ParseSchemaValue(std::string_view json);

/// On one line, no white space, strings in their plain spelling (json_spelling.h).
std::string SpellValue(const SchemaValue& value);

/// The same text for values that are equal as JSON Schema has it: 1 is 1.0, the order of members
/// does not matter.
std::string MeaningOf(const SchemaValue& value);

/// "a number", "an object": for sentences.
std::string_view NameOf(SchemaValue::Kind kind);

}  // namespace atom::grammar
