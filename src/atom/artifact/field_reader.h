// Reads one JSON object field by field into a struct that holds the defaults already. The first
// complaint is kept, later calls do nothing, so that a reader is a list of fields and one check:
//
//   FieldReader fields(json, "my.json: weight", FieldReader::Missing::kKeep, {"bits", "clip"});
//   fields.Integer("bits", weight.bits);
//   fields.Number("clip", weight.clip);
//   return fields.status();
//
// Fields that are not in the list are refused with the list. Sits under recipe_json and
// quantization_config.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/json.h"

namespace atom::artifact {

/// The shortest decimal number that gives `value` back when it is parsed as a double and narrowed:
/// 0.9f becomes 0.9, not 0.8999999761581421.
double ShortestDecimal(float value);

class FieldReader {
 public:
  /// What a field that is absent (or null) means.
  enum class Missing { kKeep, kRefuse };

  /// `where` starts every sentence. `json` must outlive the reader.
  FieldReader(const io::Json& json, std::string where, Missing missing,
              std::initializer_list<std::string_view> known);

  void Bool(std::string_view key, bool& value);
  void String(std::string_view key, std::string& value);
  void Number(std::string_view key, double& value);
  void Number(std::string_view key, float& value);
  void Unsigned(std::string_view key, uint64_t& value);
  template <std::signed_integral T>
  void Integer(std::string_view key, T& value) {
    value = static_cast<T>(
        IntegerIn(key, value, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
  /// One of `choices`, by the names that Name(choice) gives them.
  template <class Enum>
  void Choice(std::string_view key, std::initializer_list<Enum> choices, Enum& value) {
    const std::optional<std::string> found = Text(key);
    if (!found) return;
    std::string names;
    for (const Enum choice : choices) {
      if (Name(choice) == *found) {
        value = choice;
        return;
      }
      names += (names.empty() ? "" : ", ") + std::string(Name(choice));
    }
    RefuseValue(key, "one of " + names);
  }

  /// The field as it stands, nullptr when it is absent, null, or after a complaint.
  const io::Json* Raw(std::string_view key);
  /// A nested object: read(object, its name for sentences, part) returns a Status.
  template <class T, class Read>
  void Part(std::string_view key, T& part, Read read) {
    const io::Json* found = Object(key);
    if (found == nullptr) return;
    const Status status = read(*found, fmt::format("{}: {}", where_, key), part);
    if (!status.ok()) Fail(status.error());
  }

  /// Notes that the field's value is not what was `expected`.
  void RefuseValue(std::string_view key, std::string_view expected);
  void Fail(Error error);
  bool ok() const { return !error_.has_value(); }
  Status status() const { return error_ ? Status(*error_) : Status(); }

 private:
  int64_t IntegerIn(std::string_view key, int64_t value, int64_t low, int64_t high);
  std::optional<std::string> Text(std::string_view key);
  const io::Json* Object(std::string_view key);

  const io::Json& json_;
  std::string where_;
  Missing missing_;
  std::optional<Error> error_;
};

}  // namespace atom::artifact
