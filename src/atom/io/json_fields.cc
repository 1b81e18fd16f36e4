// The field getters declared in json.h: one row per type of field, one function per rule.
#include <limits>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

const Json* FindField(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Error Missing(const Json& object, std::string_view key, const std::string& source,
              std::string_view expected) {
  if (!object.is_object()) {
    return MakeError("{}: expected an object with the field {}, found {}", source, Quote(key),
                     DescribeJson(object));
  }
  return MakeError("{}: field {} is {}, expected {}", source, Quote(key),
                   object.contains(key) ? "null" : "missing", expected);
}

Error WrongType(const Json& value, std::string_view key, const std::string& source,
                std::string_view expected) {
  return MakeError("{}: field {} is {}, expected {}", source, Quote(key), DescribeJson(value),
                   expected);
}

// One row per type of field: what a sentence calls it, and the value if it is of that type.
struct IntField {
  using Value = int64_t;
  static constexpr std::string_view kExpected = "an integer";
  static std::optional<Value> Get(const Json& value) {
    if (!value.is_number_integer()) return std::nullopt;
    if (value.is_number_unsigned() &&
        value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return std::nullopt;
    }
    return value.get<int64_t>();
  }
};
struct NumberField {
  using Value = double;
  static constexpr std::string_view kExpected = "a number";
  static std::optional<Value> Get(const Json& value) {
    return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
  }
};
struct StringField {
  using Value = std::string;
  static constexpr std::string_view kExpected = "a string";
  static std::optional<Value> Get(const Json& value) {
    return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
  }
};
struct BoolField {
  using Value = bool;
  static constexpr std::string_view kExpected = "true or false";
  static std::optional<Value> Get(const Json& value) {
    return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
  }
};
struct ObjectField {
  using Value = const Json*;
  static constexpr std::string_view kExpected = "an object";
  static std::optional<Value> Get(const Json& value) {
    return value.is_object() ? std::optional(&value) : std::nullopt;
  }
};
struct ArrayField {
  using Value = const Json*;
  static constexpr std::string_view kExpected = "an array";
  static std::optional<Value> Get(const Json& value) {
    return value.is_array() ? std::optional(&value) : std::nullopt;
  }
};

template <class Field>
Result<typename Field::Value> Require(const Json& object, std::string_view key,
                                      const std::string& source) {
  const Json* value = FindField(object, key);
  if (value == nullptr) return Missing(object, key, source, Field::kExpected);
  std::optional<typename Field::Value> got = Field::Get(*value);
  if (!got) return WrongType(*value, key, source, Field::kExpected);
  return *std::move(got);
}

template <class Field>
Result<std::optional<typename Field::Value>> Optional(const Json& object, std::string_view key,
                                                      const std::string& source) {
  if (!object.is_object()) return Missing(object, key, source, Field::kExpected);
  const Json* value = FindField(object, key);
  if (value == nullptr) return std::optional<typename Field::Value>();
  std::optional<typename Field::Value> got = Field::Get(*value);
  if (!got) return WrongType(*value, key, source, Field::kExpected);
  return got;
}

}  // namespace

Result<int64_t> RequireInt(const Json& object, std::string_view key, const std::string& source) {
  return Require<IntField>(object, key, source);
}
Result<double> RequireNumber(const Json& object, std::string_view key, const std::string& source) {
  return Require<NumberField>(object, key, source);
}
Result<std::string> RequireString(const Json& object, std::string_view key,
                                  const std::string& source) {
  return Require<StringField>(object, key, source);
}
Result<bool> RequireBool(const Json& object, std::string_view key, const std::string& source) {
  return Require<BoolField>(object, key, source);
}
Result<const Json*> RequireObject(const Json& object, std::string_view key,
                                  const std::string& source) {
  return Require<ObjectField>(object, key, source);
}
Result<const Json*> RequireArray(const Json& object, std::string_view key,
                                 const std::string& source) {
  return Require<ArrayField>(object, key, source);
}

Result<std::optional<int64_t>> OptionalInt(const Json& object, std::string_view key,
                                           const std::string& source) {
  return Optional<IntField>(object, key, source);
}
Result<std::optional<double>> OptionalNumber(const Json& object, std::string_view key,
                                             const std::string& source) {
  return Optional<NumberField>(object, key, source);
}
Result<std::optional<std::string>> OptionalString(const Json& object, std::string_view key,
                                                  const std::string& source) {
  return Optional<StringField>(object, key, source);
}
Result<std::optional<bool>> OptionalBool(const Json& object, std::string_view key,
                                         const std::string& source) {
  return Optional<BoolField>(object, key, source);
}
Result<const Json*> OptionalObject(const Json& object, std::string_view key,
                                   const std::string& source) {
  Result<std::optional<const Json*>> field = Optional<ObjectField>(object, key, source);
  if (!field.ok()) return field.error();
  return field->value_or(nullptr);
}

}  // namespace atom::io
