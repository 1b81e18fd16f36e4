// Reads one JSON object field by field: files of ours, a model's config.json, requests. The first
// complaint is kept and later calls do nothing, so that a reader is a list of fields and one check:
//
//   FieldReader fields(json, "my.json: weight", FieldReader::Missing::kKeep, {"bits", "n"});
//   fields.Int("bits", weight.bits);                            // keeps the default when absent
//   const auto n = fields.Int("n", {.least = 1, .most = 128});  // nullopt when absent
//   return fields.status();
//
// A field that is null counts as absent. Sits under recipes, artifacts, config.json and the
// server's requests, which dress a complaint as an error of their API.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/json.h"

namespace atom::io {

/// The shortest decimal number that gives `value` back when it is parsed as a double and narrowed:
/// 0.9f becomes 0.9, not 0.8999999761581421.
double ShortestDecimal(float value);

/// The integer that `json` is, if it is one and fits int64: 3, but not 3.0 or "3".
std::optional<int64_t> AsInt(const Json& json);

struct IntRange {
  int64_t least = std::numeric_limits<int64_t>::min();
  int64_t most = std::numeric_limits<int64_t>::max();
};

struct NumberRange {
  double least = std::numeric_limits<double>::lowest();
  double most = std::numeric_limits<double>::max();
  bool open = false;  ///< the least does not belong to it
};

/// What is wrong: with one field, or (key "") with the object or in words of its own.
struct FieldComplaint {
  std::string key = {};
  std::string expected = {};  ///< "an integer from 1 to 128"; empty: `found` is the whole sentence
  std::string found = {};     ///< "the string 'abc'", "missing"
};

class FieldReader {
 public:
  /// What a field that is absent (or null) means.
  enum class Missing { kKeep, kRefuse };

  /// `where` starts every sentence. `object` must outlive the reader; what is no object is a
  /// complaint.
  FieldReader(const Json& object, std::string where, Missing missing);
  /// Likewise of an object that has no other fields than those `known`.
  FieldReader(const Json& object, std::string where, Missing missing,
              std::initializer_list<std::string_view> known);

  // The value of a field. nullopt (nullptr): absent, or something is wrong.
  std::optional<bool> Bool(std::string_view key);
  std::optional<std::string> String(std::string_view key);
  std::optional<int64_t> Int(std::string_view key, const IntRange& range = {});
  std::optional<double> Number(std::string_view key, const NumberRange& range = {});
  std::optional<uint64_t> Unsigned(std::string_view key);
  const Json* Object(std::string_view key);
  const Json* Array(std::string_view key);
  /// Of any type.
  const Json* Find(std::string_view key);

  // The same into a variable, which keeps its value when the field is absent.
  void Bool(std::string_view key, bool& value) { Keep(Bool(key), value); }
  void String(std::string_view key, std::string& value) { Keep(String(key), value); }
  void Number(std::string_view key, double& value) { Keep(Number(key), value); }
  void Number(std::string_view key, float& value);
  void Unsigned(std::string_view key, uint64_t& value) { Keep(Unsigned(key), value); }
  template <std::signed_integral T>
  void Int(std::string_view key, T& value) {
    Keep(Int(key, {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()}), value);
  }
  /// One of `choices`, by the names that Name(choice) gives them.
  template <class Enum>
  void Choice(std::string_view key, std::initializer_list<Enum> choices, Enum& value) {
    const std::optional<std::string> found = String(key);
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
  /// A nested object: read(object, its name for sentences, part) returns a Status.
  template <class T, class ReadPart>
  void Part(std::string_view key, T& part, ReadPart read) {
    const Json* found = Object(key);
    if (found == nullptr) return;
    const Status status = read(*found, where_ + ": " + std::string(key), part);
    if (!status.ok()) Fail(status.error());
  }

  /// A field that is known and changes nothing.
  void Ignore(std::string_view key) { asked_.emplace(key); }
  /// The first field with a value that was neither read nor ignored.
  std::optional<std::string> UnknownField() const;

  /// Notes that the field's value is not what was `expected`.
  void RefuseValue(std::string_view key, std::string_view expected);
  /// Likewise of a value inside of it.
  void RefuseValue(std::string_view key, std::string_view expected, const Json& found);
  /// A sentence of its own.
  void Fail(Error error);
  void Complain(FieldComplaint complaint);

  bool ok() const { return !complaint_.has_value(); }
  const std::optional<FieldComplaint>& complaint() const { return complaint_; }
  Status status() const;

 private:
  template <class From, class To>
  static void Keep(std::optional<From> found, To& value) {
    if (found) value = static_cast<To>(*std::move(found));
  }

  const Json& object_;
  std::string where_;
  Missing missing_;
  std::set<std::string, std::less<>> asked_;
  std::optional<FieldComplaint> complaint_;
};

}  // namespace atom::io
