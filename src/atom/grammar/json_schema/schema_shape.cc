#include "atom/grammar/json_schema/schema_shape.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <limits>
#include <set>
#include <utility>

#include "atom/grammar/json_schema/schema_pointer.h"
#include "atom/grammar/json_schema/string_formats.h"
#include "atom/io/quote.h"

namespace atom::grammar {
namespace {

using Kind = SchemaValue::Kind;

constexpr size_t kMaxFollowed = 64;  // $ref and allOf one behind the other
constexpr size_t kMaxEnum = 5'000;
constexpr size_t kMaxProperties = 2'000;
constexpr int64_t kMostOfMinItems = 10'000;
constexpr int64_t kAnyCount = std::numeric_limits<int64_t>::max();

// Keywords of JSON Schema, all drafts, that say which values are valid and are not kept to.
constexpr auto kUnsupported = std::to_array<std::string_view>({"not",
                                                               "if",
                                                               "then",
                                                               "else",
                                                               "contains",
                                                               "minContains",
                                                               "maxContains",
                                                               "additionalItems",
                                                               "unevaluatedItems",
                                                               "patternProperties",
                                                               "propertyNames",
                                                               "minProperties",
                                                               "maxProperties",
                                                               "dependencies",
                                                               "dependentRequired",
                                                               "dependentSchemas",
                                                               "unevaluatedProperties",
                                                               "disallow",
                                                               "extends",
                                                               "divisibleBy",
                                                               "$dynamicRef",
                                                               "$recursiveRef"});

// Those of them that allow everything.
struct SaysNothing {
  std::string_view keyword;
  std::string_view value;  // as SpellValue spells it
};
constexpr auto kSayNothing = std::to_array<SaysNothing>({{"not", "false"},
                                                         {"additionalItems", "true"},
                                                         {"unevaluatedItems", "true"},
                                                         {"unevaluatedItems", "{}"},
                                                         {"patternProperties", "{}"},
                                                         {"propertyNames", "true"},
                                                         {"propertyNames", "{}"},
                                                         {"propertyNames", R"({"type":"string"})"},
                                                         {"minProperties", "0"},
                                                         {"dependencies", "{}"},
                                                         {"dependentRequired", "{}"},
                                                         {"dependentSchemas", "{}"},
                                                         {"unevaluatedProperties", "true"},
                                                         {"unevaluatedProperties", "{}"}});

bool Restricts(std::string_view keyword, const SchemaValue& value) {
  if (std::ranges::find(kUnsupported, keyword) == kUnsupported.end()) return false;
  return std::ranges::none_of(kSayNothing, [&](const SaysNothing& each) {
    return each.keyword == keyword && each.value == SpellValue(value);
  });
}

struct TypeName {
  std::string_view name;
  uint8_t types;
};
constexpr std::array<TypeName, 7> kTypeNames = {{{"null", kNullType},
                                                 {"boolean", kBooleanType},
                                                 {"integer", kIntegerType},
                                                 {"number", kIntegerType | kFractionType},
                                                 {"string", kStringType},
                                                 {"array", kArrayType},
                                                 {"object", kObjectType}}};

uint8_t TypeOf(const SchemaValue& value) {
  switch (value.kind) {
    case Kind::kNull:
      return kNullType;
    case Kind::kBoolean:
      return kBooleanType;
    case Kind::kNumber:
      return value.AsInteger() ? kIntegerType : kFractionType;
    case Kind::kString:
      return kStringType;
    case Kind::kArray:
      return kArrayType;
    case Kind::kObject:
      return kObjectType;
  }
  return 0;
}

// Conjoins schemas into a Shape, one keyword after the other.
class ShapeBuilder {
 public:
  ShapeBuilder(const SchemaValue& root, const SchemaSet& schemas) : root_(root) {
    shape_.branched = std::any_of(schemas.begin(), schemas.end(), [](const SchemaRef& ref) {
      return ref.any_chosen || ref.one_chosen;
    });
  }

  Status Add(const SchemaRef& ref);
  Result<Shape> Finish() &&;

 private:
  struct Keyword {
    std::string_view name;
    Status (ShapeBuilder::*read)(const KeywordUse& use);
    bool structural = false;  // about objects and arrays
  };
  static const Keyword* FindKeyword(std::string_view name);

  Error Refuse(const KeywordUse& use, std::string_view what) const {
    return SchemaError(use.path, use.keyword, what);
  }
  Error Expected(const KeywordUse& use, std::string_view what) const {
    return Refuse(use, fmt::format("expected {}, found {}", what, NameOf(use.value->kind)));
  }
  // No value of `types` is left. Within a branch others may still hold, else it is an Error.
  Status Contradict(const KeywordUse& use, std::string_view what, uint8_t types) {
    if (!shape_.branched) return Refuse(use, what);
    shape_.types &= static_cast<uint8_t>(~types);
    return {};
  }
  Result<int64_t> Count(const KeywordUse& use, int64_t most) const;
  Status AddValues(const KeywordUse& use, std::vector<const SchemaValue*> values);

  Status ReadType(const KeywordUse& use);
  Status ReadEnum(const KeywordUse& use);
  Status ReadConst(const KeywordUse& use) { return AddValues(use, {use.value}); }
  Status ReadRef(const KeywordUse& use);
  Status ReadAllOf(const KeywordUse& use);
  Status ReadChoice(const KeywordUse& use);
  Status ReadBound(const KeywordUse& use);
  Status ReadMultiple(const KeywordUse& use);
  Status ReadPattern(const KeywordUse& use);
  Status ReadFormat(const KeywordUse& use);
  Status ReadLength(const KeywordUse& use);
  Status ReadItemCount(const KeywordUse& use);
  Status ReadProperties(const KeywordUse& use);
  Status ReadRest(const KeywordUse& use);
  Status ReadRequired(const KeywordUse& use);
  Status ReadPrefixItems(const KeywordUse& use);
  Status ReadUniqueItems(const KeywordUse& use);
  Status ReadDefinitions(const KeywordUse& use);
  Status ReadId(const KeywordUse& use);

  const SchemaValue& root_;
  Shape shape_;
  std::vector<const SchemaValue*> following_;  // schemas whose keywords are being read
  std::set<std::pair<const SchemaValue*, int>> added_;
};

// One row a keyword that is kept to.
const ShapeBuilder::Keyword* ShapeBuilder::FindKeyword(std::string_view name) {
  using B = ShapeBuilder;
  static constexpr auto kKeywords = std::to_array<Keyword>({
      {"type", &B::ReadType},
      {"enum", &B::ReadEnum},
      {"const", &B::ReadConst},
      {"$ref", &B::ReadRef},
      {"allOf", &B::ReadAllOf},
      {"anyOf", &B::ReadChoice},
      {"oneOf", &B::ReadChoice},
      {"minimum", &B::ReadBound},
      {"maximum", &B::ReadBound},
      {"exclusiveMinimum", &B::ReadBound},
      {"exclusiveMaximum", &B::ReadBound},
      {"multipleOf", &B::ReadMultiple},
      {"pattern", &B::ReadPattern},
      {"format", &B::ReadFormat},
      {"minLength", &B::ReadLength},
      {"maxLength", &B::ReadLength},
      {"minItems", &B::ReadItemCount, true},
      {"maxItems", &B::ReadItemCount, true},
      {"properties", &B::ReadProperties, true},
      {"additionalProperties", &B::ReadRest, true},
      {"required", &B::ReadRequired, true},
      {"prefixItems", &B::ReadPrefixItems, true},
      {"items", &B::ReadRest, true},
      {"uniqueItems", &B::ReadUniqueItems, true},
      {"$defs", &B::ReadDefinitions},
      {"definitions", &B::ReadDefinitions},
      {"$id", &B::ReadId},
  });
  const auto found = std::find_if(kKeywords.begin(), kKeywords.end(),
                                  [&](const Keyword& keyword) { return keyword.name == name; });
  return found == kKeywords.end() ? nullptr : &*found;
}

Status ShapeBuilder::Add(const SchemaRef& ref) {
  if (shape_.path.empty()) shape_.path = ref.path;
  const int done = ref.followed + 2 * ref.any_chosen + 4 * ref.one_chosen;
  if (ref.schema->Is(Kind::kBoolean)) {
    shape_.never = shape_.never || !ref.schema->truth;
    return {};
  }
  if (!ref.schema->Is(Kind::kObject)) {
    return MakeError("the schema at {}: expected an object or a boolean, found {}",
                     io::Quote(ref.path), NameOf(ref.schema->kind));
  }
  if (following_.size() == kMaxFollowed) {
    return MakeError("the schema at {}: more than {} of $ref and allOf lead to each other",
                     io::Quote(ref.path), kMaxFollowed);
  }
  if (!added_.insert({ref.schema, done}).second) return {};
  following_.push_back(ref.schema);
  const size_t index = shape_.schemas.size();
  shape_.schemas.push_back(ref);
  shape_.schemas.back().followed = true;
  for (size_t i = 0; i < ref.schema->keys.size(); ++i) {
    const KeywordUse use = {ref.schema->keys[i], &ref.schema->children[i], ref.path};
    const Keyword* keyword = FindKeyword(use.keyword);
    if (keyword == nullptr) {
      if (Restricts(use.keyword, *use.value)) return Refuse(use, "is not supported");
      continue;
    }
    const bool follows = use.keyword == "$ref" || use.keyword == "allOf";
    if ((follows && ref.followed) || (use.keyword == "anyOf" && ref.any_chosen) ||
        (use.keyword == "oneOf" && ref.one_chosen)) {
      continue;
    }
    const Status status = (this->*keyword->read)(use);
    if (!status.ok()) return status.error();
    if (keyword->structural && !shape_.structure) shape_.structure = use;
    if (keyword->read == &ShapeBuilder::ReadChoice) shape_.choosers.push_back(index);
  }
  following_.pop_back();
  return {};
}

Result<Shape> ShapeBuilder::Finish() && {
  shape_.never = shape_.never || shape_.types == 0;
  if (!shape_.values) return std::move(shape_);
  if (!shape_.choices.empty()) {
    return Refuse(shape_.choices.front(), "is not supported beside enum and const");
  }
  uint8_t types = 0;
  std::erase_if(*shape_.values,
                [&](const SchemaValue* value) { return (TypeOf(*value) & shape_.types) == 0; });
  for (const SchemaValue* value : *shape_.values) types |= TypeOf(*value);
  if (shape_.structure && (types & (kArrayType | kObjectType)) != 0) {
    return Refuse(*shape_.structure, "is not supported beside enum and const of such values");
  }
  if (shape_.values->empty() && !shape_.never && !shape_.branched) {
    return MakeError("the schema at {}: no value of enum and const has the type it must have",
                     io::Quote(shape_.path));
  }
  shape_.types = types;
  return std::move(shape_);
}

Status ShapeBuilder::ReadType(const KeywordUse& use) {
  uint8_t types = 0;
  const auto add = [&](const SchemaValue& name) -> Status {
    const auto* const known =
        std::find_if(kTypeNames.begin(), kTypeNames.end(),
                     [&](const TypeName& type) { return type.name == name.text; });
    if (!name.Is(Kind::kString) || known == kTypeNames.end()) {
      return Refuse(use, "expected null, boolean, integer, number, string, array or object");
    }
    types |= known->types;
    return {};
  };
  if (use.value->Is(Kind::kArray)) {
    for (const SchemaValue& name : use.value->children) {
      const Status added = add(name);
      if (!added.ok()) return added.error();
    }
    if (types == 0) return Refuse(use, "expected a type, found an empty array");
  } else {
    const Status added = add(*use.value);
    if (!added.ok()) return added.error();
  }
  shape_.types &= types;
  if (shape_.types == 0) return Contradict(use, "contradicts another type", kAllTypes);
  return {};
}

Status ShapeBuilder::AddValues(const KeywordUse& use, std::vector<const SchemaValue*> values) {
  if (shape_.values) {
    std::set<std::string> others;
    for (const SchemaValue* value : *shape_.values) others.insert(MeaningOf(*value));
    std::erase_if(values, [&](const SchemaValue* v) { return !others.contains(MeaningOf(*v)); });
    if (values.empty()) return Contradict(use, "contradicts another enum or const", kAllTypes);
  }
  shape_.values = std::move(values);
  return {};
}

Status ShapeBuilder::ReadEnum(const KeywordUse& use) {
  if (!use.value->Is(Kind::kArray)) return Expected(use, "an array");
  if (use.value->children.empty()) return Refuse(use, "allows no value");
  if (use.value->children.size() > kMaxEnum) {
    return Refuse(use, fmt::format("has {} values, expected at most {}", use.value->children.size(),
                                   kMaxEnum));
  }
  std::vector<const SchemaValue*> values;
  for (const SchemaValue& value : use.value->children) values.push_back(&value);
  return AddValues(use, std::move(values));
}

Status ShapeBuilder::ReadRef(const KeywordUse& use) {
  if (!use.value->Is(Kind::kString)) return Expected(use, "a string");
  const Result<const SchemaValue*> target = FollowPointer(root_, use.value->text);
  if (!target.ok()) {
    return Refuse(use, fmt::format("{} {}", io::Quote(use.value->text), target.error().message));
  }
  if (std::find(following_.begin(), following_.end(), *target) != following_.end()) {
    return Refuse(use, "leads back to the schema that it stands in");
  }
  return Add({.schema = *target, .path = use.value->text});
}

Status ShapeBuilder::ReadAllOf(const KeywordUse& use) {
  if (!use.value->Is(Kind::kArray)) return Expected(use, "an array");
  if (use.value->children.empty()) return Refuse(use, "is empty");
  const std::string path = JoinPath(use.path, use.keyword);
  for (size_t i = 0; i < use.value->children.size(); ++i) {
    const Status added =
        Add({.schema = &use.value->children[i], .path = JoinPath(path, fmt::format("{}", i))});
    if (!added.ok()) return added.error();
  }
  return {};
}

Status ShapeBuilder::ReadChoice(const KeywordUse& use) {
  if (!use.value->Is(Kind::kArray)) return Expected(use, "an array");
  if (use.value->children.empty()) return Refuse(use, "is empty");
  shape_.choices.push_back(use);
  return {};
}

// As the fourth draft and OpenAPI 3.0 have it, an exclusiveMinimum of true is said of the minimum.
Status ShapeBuilder::ReadBound(const KeywordUse& use) {
  const bool exclusive = use.keyword.starts_with("exclusive");
  if (exclusive && use.value->Is(Kind::kBoolean)) return {};
  if (!use.value->Is(Kind::kNumber)) return Expected(use, "a number");
  KeywordUse bound = use;
  if (!exclusive) {
    const std::string_view name =
        use.keyword == "minimum" ? "exclusiveMinimum" : "exclusiveMaximum";
    const SchemaValue* beside = following_.back()->Find(name);
    if (beside != nullptr && beside->truth) bound.keyword = name;
  }
  shape_.bounds.push_back(bound);
  return {};
}

Status ShapeBuilder::ReadMultiple(const KeywordUse& use) {
  if (!use.value->Is(Kind::kNumber)) return Expected(use, "a number");
  shape_.multiples.push_back(use);
  return {};
}

Status ShapeBuilder::ReadPattern(const KeywordUse& use) {
  if (!use.value->Is(Kind::kString)) return Expected(use, "a string");
  shape_.patterns.push_back({use.value->text, use});
  return {};
}

Status ShapeBuilder::ReadFormat(const KeywordUse& use) {
  if (!use.value->Is(Kind::kString)) return Expected(use, "a string");
  const std::optional<std::string_view> pattern = FindFormat(use.value->text);
  if (!pattern) return {};  // an annotation: "int32", "uri"
  shape_.patterns.push_back({*pattern, use});
  return {};
}

Result<int64_t> ShapeBuilder::Count(const KeywordUse& use, int64_t most) const {
  const std::optional<int64_t> count = use.value->AsInteger();
  if (!count || *count < 0) return Refuse(use, "expected an integer of at least 0");
  if (*count > most) return Refuse(use, fmt::format("is {}, expected at most {}", *count, most));
  return *count;
}

Status ShapeBuilder::ReadLength(const KeywordUse& use) {
  const Result<int64_t> count = Count(use, kAnyCount);
  if (!count.ok()) return count.error();
  if (use.keyword == "minLength") {
    shape_.min_length = std::max(shape_.min_length, *count);
  } else {
    shape_.max_length = std::min(shape_.max_length.value_or(*count), *count);
  }
  if (shape_.max_length && *shape_.max_length < shape_.min_length) {
    return Contradict(use, "contradicts: minLength is larger than maxLength", kStringType);
  }
  return {};
}

Status ShapeBuilder::ReadItemCount(const KeywordUse& use) {
  const Result<int64_t> count = Count(use, use.keyword == "minItems" ? kMostOfMinItems : kAnyCount);
  if (!count.ok()) return count.error();
  if (use.keyword == "minItems") {
    shape_.min_items = std::max(shape_.min_items, *count);
  } else {
    shape_.max_items = std::min(shape_.max_items.value_or(*count), *count);
  }
  if (shape_.max_items && *shape_.max_items < shape_.min_items) {
    return Contradict(use, "contradicts: minItems is larger than maxItems", kArrayType);
  }
  return {};
}

// properties or, if there are none, additionalProperties make the schema's part of the objects.
Status ShapeBuilder::ReadProperties(const KeywordUse& use) {
  if (!use.value->Is(Kind::kObject)) return Expected(use, "an object");
  if (use.value->keys.size() > kMaxProperties) {
    return Refuse(use, fmt::format("has {} members, expected at most {}", use.value->keys.size(),
                                   kMaxProperties));
  }
  const SchemaValue* rest = following_.back()->Find("additionalProperties");
  shape_.objects.push_back({use.value, rest, use.path});
  return {};
}

Status ShapeBuilder::ReadPrefixItems(const KeywordUse& use) {
  if (!use.value->Is(Kind::kArray)) return Expected(use, "an array");
  if (use.value->children.empty()) return Refuse(use, "is empty");
  shape_.arrays.push_back({use.value, following_.back()->Find("items"), use.path});
  return {};
}

Status ShapeBuilder::ReadRest(const KeywordUse& use) {
  if (!use.value->Is(Kind::kObject) && !use.value->Is(Kind::kBoolean)) {
    return Expected(use, "an object or a boolean");
  }
  const bool items = use.keyword == "items";
  if (following_.back()->Find(items ? "prefixItems" : "properties") != nullptr) return {};
  (items ? shape_.arrays : shape_.objects).push_back({nullptr, use.value, use.path});
  return {};
}

Status ShapeBuilder::ReadRequired(const KeywordUse& use) {
  if (!use.value->Is(Kind::kArray)) return Expected(use, "an array");
  if (use.value->children.size() > kMaxProperties) {
    return Refuse(use, fmt::format("has {} names, expected at most {}", use.value->children.size(),
                                   kMaxProperties));
  }
  for (const SchemaValue& name : use.value->children) {
    if (!name.Is(Kind::kString)) return Refuse(use, "expected strings");
    shape_.required.emplace_back(name.text, use.path);
  }
  return {};
}

Status ShapeBuilder::ReadUniqueItems(const KeywordUse& use) {
  if (!use.value->Is(Kind::kBoolean)) return Expected(use, "a boolean");
  if (use.value->truth) shape_.unique_items = use;
  return {};
}

Status ShapeBuilder::ReadDefinitions(const KeywordUse& use) {
  if (!use.value->Is(Kind::kObject)) return Expected(use, "an object");
  return {};
}

// Below the root it would change what $ref means.
Status ShapeBuilder::ReadId(const KeywordUse& use) {
  if (following_.back() != &root_) return Refuse(use, "is only supported at the root");
  return {};
}

}  // namespace

Error SchemaError(const std::string& path, std::string_view keyword, std::string_view what) {
  return MakeError("the schema at {}: keyword {} {}", io::Quote(path), io::Quote(keyword), what);
}

Result<Shape> SchemaReader::Read(const SchemaSet& schemas) const {
  ShapeBuilder builder(root_, schemas);
  for (const SchemaRef& ref : schemas) {
    const Status added = builder.Add(ref);
    if (!added.ok()) return added.error();
  }
  return std::move(builder).Finish();
}

}  // namespace atom::grammar
