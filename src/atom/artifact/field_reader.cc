#include "atom/artifact/field_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "atom/io/quote.h"

namespace atom::artifact {

double ShortestDecimal(float value) {
  std::array<char, 32> text;  // the longest shortest float has 15 characters
  const std::to_chars_result end = std::to_chars(text.data(), text.data() + text.size(), value);
  double decimal = 0.0;
  std::from_chars(text.data(), end.ptr, decimal);
  // Rounding twice could miss the float where the decimal lies close to the middle of two.
  return static_cast<float>(decimal) == value ? decimal : static_cast<double>(value);
}

FieldReader::FieldReader(const io::Json& json, std::string where, Missing missing,
                         std::initializer_list<std::string_view> known)
    : json_(json), where_(std::move(where)), missing_(missing) {
  if (!json.is_object()) {
    Fail(MakeError("{}: found {}, expected an object", where_, io::DescribeJson(json)));
    return;
  }
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    Fail(MakeError("{}: unknown field {}, expected one of {}", where_, io::Quote(key),
                   fmt::join(known, ", ")));
  }
}

const io::Json* FieldReader::Raw(std::string_view key) {
  if (!ok()) return nullptr;
  const auto found = json_.find(key);
  if (found != json_.end() && !found->is_null()) return &*found;
  if (missing_ == Missing::kRefuse) Fail(MakeError("{}: field '{}' is missing", where_, key));
  return nullptr;
}

const io::Json* FieldReader::Object(std::string_view key) {
  const io::Json* found = Raw(key);
  if (found == nullptr || found->is_object()) return found;
  RefuseValue(key, "an object");
  return nullptr;
}

void FieldReader::Bool(std::string_view key, bool& value) {
  const io::Json* found = Raw(key);
  if (found == nullptr) return;
  if (!found->is_boolean()) return RefuseValue(key, "true or false");
  value = found->get<bool>();
}

std::optional<std::string> FieldReader::Text(std::string_view key) {
  const io::Json* found = Raw(key);
  if (found == nullptr) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  RefuseValue(key, "a string");
  return std::nullopt;
}

void FieldReader::String(std::string_view key, std::string& value) {
  if (std::optional<std::string> found = Text(key)) value = *std::move(found);
}

void FieldReader::Number(std::string_view key, double& value) {
  const io::Json* found = Raw(key);
  if (found == nullptr) return;
  if (!found->is_number()) return RefuseValue(key, "a number");
  value = found->get<double>();
}

void FieldReader::Number(std::string_view key, float& value) {
  double wide = value;
  Number(key, wide);
  if (std::abs(wide) > std::numeric_limits<float>::max()) {
    return RefuseValue(key, "a number that fits 32 bits");
  }
  value = static_cast<float>(wide);
}

void FieldReader::Unsigned(std::string_view key, uint64_t& value) {
  const io::Json* found = Raw(key);
  if (found == nullptr) return;
  if (!found->is_number_unsigned()) return RefuseValue(key, "an integer from 0 to 2^64 - 1");
  value = found->get<uint64_t>();
}

int64_t FieldReader::IntegerIn(std::string_view key, int64_t value, int64_t low, int64_t high) {
  if (Raw(key) == nullptr) return value;
  const Result<int64_t> found = io::RequireInt(json_, key, where_);
  if (!found.ok()) {
    Fail(found.error());
  } else if (*found < low || *found > high) {
    RefuseValue(key, fmt::format("an integer from {} to {}", low, high));
  }
  return ok() ? *found : value;
}

void FieldReader::RefuseValue(std::string_view key, std::string_view expected) {
  const auto found = ok() ? json_.find(key) : json_.end();
  if (found == json_.end()) return;
  Fail(MakeError("{}: field '{}' is {}, expected {}", where_, key, io::DescribeJson(*found),
                 expected));
}

void FieldReader::Fail(Error error) {
  if (ok()) error_ = std::move(error);
}

}  // namespace atom::artifact
