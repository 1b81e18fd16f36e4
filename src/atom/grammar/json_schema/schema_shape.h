// What one place of a JSON text must satisfy: the conjunction of some schemas, with $ref and allOf
// followed, keyword by keyword. The schema compiler makes a rule of each Shape.
//
//   {schema, …} ─ SchemaReader::Read ─ Shape ─ string_rule, object_rule, array_rule … ─ Grammar
//
// Promises: every keyword that JSON Schema gives a say over values is either kept in the Shape or
// refused by name with its path. Annotations (title, default, …) are passed over, and so are, as
// JSON Schema has it, keywords that it does not know (x-…, example, discriminator) and formats that
// are not known here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/grammar/json_schema/schema_pointer.h"
#include "atom/grammar/json_schema/schema_value.h"

namespace atom::grammar {

/// Bits of Shape::types.
enum SchemaType : uint8_t {
  kNullType = 1,
  kBooleanType = 2,
  kIntegerType = 4,
  kFractionType = 8,  ///< numbers that are no integers: "number" is both
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64,
};
inline constexpr uint8_t kAllTypes = 127;

/// A schema and what of it is already taken care of.
struct SchemaRef {
  const SchemaValue* schema;
  std::string path;         ///< "#/properties/a"
  bool followed = false;    ///< its $ref and allOf
  bool any_chosen = false;  ///< a branch of its anyOf
  bool one_chosen = false;  ///< likewise oneOf
};

/// Schemas that hold together, in the order that properties come in.
using SchemaSet = std::vector<SchemaRef>;

/// A keyword's value where a schema had it.
struct KeywordUse {
  std::string_view keyword;
  const SchemaValue* value;
  std::string path;  ///< of the schema
};

struct Shape {
  /// The properties and additionalProperties of one schema belong together, as do the prefixItems
  /// and items of one. Either may be nullptr.
  struct Parts {
    const SchemaValue* named = nullptr;
    const SchemaValue* rest = nullptr;
    std::string path = {};
  };
  struct Pattern {
    std::string_view text;
    KeywordUse use;  ///< pattern or format
  };

  std::string path;       ///< of the first schema, for errors
  SchemaSet schemas;      ///< what was conjoined, all followed
  bool branched = false;  ///< a branch was chosen: if it contradicts the rest, others may not
  bool never = false;
  uint8_t types = kAllTypes;
  std::optional<std::vector<const SchemaValue*>> values;  ///< of enum and const
  std::optional<KeywordUse> structure;  ///< the first keyword about objects and arrays
  std::vector<KeywordUse> choices;      ///< anyOf and oneOf that are not chosen yet
  std::vector<size_t> choosers;         ///< likewise: indices into schemas
  std::vector<KeywordUse> bounds;       ///< minimum and the like
  std::vector<KeywordUse> multiples;    ///< multipleOf
  std::vector<Pattern> patterns;
  int64_t min_length = 0;
  std::optional<int64_t> max_length;
  std::vector<Parts> objects;
  std::vector<std::pair<std::string, std::string>> required;  ///< name, path of the schema
  std::vector<Parts> arrays;
  int64_t min_items = 0;
  std::optional<int64_t> max_items;
  std::optional<KeywordUse> unique_items;
};

/// "the schema at '#/a': keyword 'b' …"
Error SchemaError(const std::string& path, std::string_view keyword, std::string_view what);

class SchemaReader {
 public:
  /// REQUIRES: `root` outlives this.
  explicit SchemaReader(const SchemaValue& root) : root_(root) {}

  Result<Shape> Read(const SchemaSet& schemas) const;

 private:
  const SchemaValue& root_;
};

}  // namespace atom::grammar
