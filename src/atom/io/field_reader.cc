#include "atom/io/field_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "atom/io/quote.h"

namespace atom::io {
namespace {

std::string DescribeRange(const IntRange& range) {
  const IntRange all;
  if (range.least == all.least && range.most == all.most) return "an integer";
  return fmt::format("an integer from {} to {}", range.least, range.most);
}

std::string DescribeRange(const NumberRange& range) {
  const NumberRange all;
  if (range.least == all.least && range.most == all.most) return "a number";
  return fmt::format("a number {} {} and at most {}", range.open ? "above" : "of at least",
                     range.least, range.most);
}

}  // namespace

double ShortestDecimal(float value) {
  std::array<char, 32> text;  // the longest shortest float has 15 characters
  const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), value);
  double decimal = 0.0;
  std::from_chars(text.data(), end.ptr, decimal);
  // Rounding twice could miss the float where the decimal lies close to the middle of two.
  return static_cast<float>(decimal) == value ? decimal : static_cast<double>(value);
}

std::optional<int64_t> AsInt(const Json& json) {
  if (!json.is_number_integer()) return std::nullopt;
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  return json.get<int64_t>();
}

FieldReader::FieldReader(const Json& object, std::string where, Missing missing)
    : object_(object), where_(std::move(where)), missing_(missing) {
  if (object.is_object()) return;
  Complain({.expected = "an object", .found = DescribeJson(object)});
}

FieldReader::FieldReader(const Json& object, std::string where, Missing missing,
                         std::initializer_list<std::string_view> known)
    : FieldReader(object, std::move(where), missing) {
  if (!object.is_object()) return;
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    Fail(MakeError("{}: unknown field {}, expected one of {}", where_, Quote(key),
                   fmt::join(known, ", ")));
  }
}

const Json* FieldReader::Find(std::string_view key) {
  asked_.emplace(key);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(key);
  if (found != object_.end() && !found->is_null()) return &*found;
  if (missing_ == Missing::kRefuse) Complain({.key = std::string(key), .found = "missing"});
  return nullptr;
}

std::optional<bool> FieldReader::Bool(std::string_view key) {
  const Json* found = Find(key);
  if (found == nullptr) return std::nullopt;
  if (found->is_boolean()) return found->get<bool>();
  RefuseValue(key, "true or false", *found);
  return std::nullopt;
}

std::optional<std::string> FieldReader::String(std::string_view key) {
  const Json* found = Find(key);
  if (found == nullptr) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  RefuseValue(key, "a string", *found);
  return std::nullopt;
}

std::optional<int64_t> FieldReader::Int(std::string_view key, const IntRange& range) {
  const Json* found = Find(key);
  if (found == nullptr) return std::nullopt;
  const std::optional<int64_t> value = AsInt(*found);
  if (value && *value >= range.least && *value <= range.most) return value;
  RefuseValue(key, DescribeRange(range), *found);
  return std::nullopt;
}

std::optional<double> FieldReader::Number(std::string_view key, const NumberRange& range) {
  const Json* found = Find(key);
  if (found == nullptr) return std::nullopt;
  if (found->is_number()) {
    const auto value = found->get<double>();
    const bool above = range.open ? value > range.least : value >= range.least;
    if (above && value <= range.most) return value;
  }
  RefuseValue(key, DescribeRange(range), *found);
  return std::nullopt;
}

std::optional<uint64_t> FieldReader::Unsigned(std::string_view key) {
  const Json* found = Find(key);
  if (found == nullptr) return std::nullopt;
  if (found->is_number_unsigned()) return found->get<uint64_t>();
  RefuseValue(key, "an integer from 0 to 2^64 - 1", *found);
  return std::nullopt;
}

const Json* FieldReader::Object(std::string_view key) {
  const Json* found = Find(key);
  if (found == nullptr || found->is_object()) return found;
  RefuseValue(key, "an object", *found);
  return nullptr;
}

const Json* FieldReader::Array(std::string_view key) {
  const Json* found = Find(key);
  if (found == nullptr || found->is_array()) return found;
  RefuseValue(key, "an array", *found);
  return nullptr;
}

void FieldReader::Number(std::string_view key, float& value) {
  const std::optional<double> wide = Number(key);
  if (!wide) return;
  if (std::abs(*wide) > std::numeric_limits<float>::max()) {
    return RefuseValue(key, "a number that fits 32 bits");
  }
  value = static_cast<float>(*wide);
}

std::optional<std::string> FieldReader::UnknownField() const {
  if (!object_.is_object()) return std::nullopt;
  for (const auto& [key, value] : object_.items()) {
    if (!asked_.contains(key) && !value.is_null()) return key;
  }
  return std::nullopt;
}

void FieldReader::RefuseValue(std::string_view key, std::string_view expected) {
  const auto found = object_.find(key);
  if (found != object_.end()) RefuseValue(key, expected, *found);
}

void FieldReader::RefuseValue(std::string_view key, std::string_view expected, const Json& found) {
  Complain(
      {.key = std::string(key), .expected = std::string(expected), .found = DescribeJson(found)});
}

void FieldReader::Fail(Error error) { Complain({.found = std::move(error.message)}); }

void FieldReader::Complain(FieldComplaint complaint) {
  if (ok()) complaint_ = std::move(complaint);
}

Status FieldReader::status() const {
  if (ok()) return {};
  const FieldComplaint& what = *complaint_;
  if (what.key.empty() && what.expected.empty()) return MakeError("{}", what.found);
  if (what.key.empty()) {
    return MakeError("{}: found {}, expected {}", where_, what.found, what.expected);
  }
  const std::string field = fmt::format("{}: field '{}' is {}", where_, what.key, what.found);
  return what.expected.empty() ? MakeError("{}", field)
                               : MakeError("{}, expected {}", field, what.expected);
}

}  // namespace atom::io
